//! The folder with a folder for each session: the operator's, or scratch inside of it, if the sessions' keys are in NATS.
//!
//! Scratch is a gateway's own, so that several gateways may share a volume. What a gateway that was killed left there is
//! removed by the next one.

use anyhow::Context as _;
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// What the name of a scratch folder begins with. No session is called so, since a dot is in no session's id.
const SCRATCH: &str = ".scratch-";
/// The file whose lock says that a gateway uses the folder.
const LOCK: &str = "lock";

pub struct SessionFolder {
    path: PathBuf,
    /// Of a scratch folder.
    lock: Option<File>,
}

impl SessionFolder {
    /// The operator's folder itself.
    #[must_use]
    pub fn lasting(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// A new folder inside of the operator's.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(parent: &Path) -> anyhow::Result<Self> {
        let failed = || format!("failed to use {} (WHATSAPP_SESSION_PATH)", parent.display());
        DirBuilder::new().recursive(true).mode(0o700).create(parent).with_context(failed)?;
        remove_leftovers(parent);
        let path = parent.join(format!("{SCRATCH}{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).with_context(failed)?;
        let lock = File::create(path.join(LOCK)).with_context(failed)?;
        lock.lock().with_context(failed)?;
        Ok(Self { path, lock: Some(lock) })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SessionFolder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes the scratch folders of gateways that have ended.
fn remove_leftovers(parent: &Path) {
    let Ok(folders) = fs::read_dir(parent) else { return };
    for folder in folders.filter_map(Result::ok) {
        if !folder.file_name().to_string_lossy().starts_with(SCRATCH) {
            continue;
        }
        let is_used = File::open(folder.path().join(LOCK))
            .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        if !is_used && let Err(error) = fs::remove_dir_all(folder.path()) {
            tracing::warn!("{} holds keys that nobody needs, and was not removed: {error}", folder.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_a_gateways_own_and_leftovers_are_removed() {
        let parent = tempfile::tempdir().expect("a folder");
        let one = SessionFolder::scratch(parent.path()).expect("scratch");
        let two = SessionFolder::scratch(parent.path()).expect("scratch");
        assert_ne!(one.path(), two.path());
        let (first, second) = (one.path().to_owned(), two.path().to_owned());
        // A killed process frees its lock and leaves its folder.
        fs::create_dir(parent.path().join(".scratch-0")).expect("a leftover");
        fs::create_dir(parent.path().join("sales")).expect("a session");
        drop(two);
        let _three = SessionFolder::scratch(parent.path()).expect("scratch");
        assert!(first.exists() && !second.exists());
        assert!(!parent.path().join(".scratch-0").exists() && parent.path().join("sales").exists());
    }
}
