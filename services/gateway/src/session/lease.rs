//! The right to use a session's folder, for one gateway at a time. Two gateways would use the same keys twice at
//! WhatsApp.
//!
//! The lease is a lock on a file, which the system releases when the process ends for any reason.

use anyhow::Context as _;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct FolderLease {
    lock: File,
}

impl FolderLease {
    /// # Errors
    /// If another gateway uses the folder, or it cannot be written.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("failed to open {} (WHATSAPP_SESSION_PATH)", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { lock }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "another gateway uses {}: stop it, or set WHATSAPP_SESSION_PATH to another folder",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("failed to lock {} (WHATSAPP_SESSION_PATH)", path.display()))
            }
        }
    }
}

impl FolderLease {
    /// Names the folder on this machine since its start: a copy of the folder is another one. The holder of the lock knows
    /// that an earlier process with this identity has ended.
    #[must_use]
    pub fn identity(&self) -> String {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let file = self.lock.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).unwrap_or_default();
        format!("{}:{file}", boot.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_gateway_at_a_time() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let first = FolderLease::take(folder.path())?;
        let refused = FolderLease::take(folder.path()).expect_err("the folder is taken");
        assert!(refused.to_string().contains("another gateway uses"), "{refused}");
        drop(first);
        FolderLease::take(folder.path())?;
        Ok(())
    }
}
