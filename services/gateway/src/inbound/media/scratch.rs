//! A file between WhatsApp and NATS. It is on disk and has no name, so that nothing is left of it however the gateway
//! ends.
//!
//! It takes no more bytes than allowed, and none when no message waits for it any more.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};
use whatsapp_rust::download::DownloadWriter;

/// The file that the client writes, from a thread of its own.
pub struct ScratchFile {
    pub file: File,
    written: u64,
    most: u64,
    told: Arc<ScratchState>,
}

/// Shared by the writer, which the client keeps after a failure, and the waiting end.
#[derive(Default)]
struct ScratchState {
    too_long: AtomicBool,
    unwanted: AtomicBool,
    /// Bytes that were written in all, also those that were written twice.
    written: AtomicU64,
}

/// The waiting end of a [`ScratchFile`]. Dropping it ends the download, whose thread cannot be cancelled in another
/// way.
pub struct ScratchGuard(Arc<ScratchState>);

impl ScratchFile {
    /// Makes a file for at most `most` bytes. Its name is removed before anything is written.
    pub fn new(folder: &Path, most: u64) -> io::Result<(Self, ScratchGuard)> {
        let told = Arc::<ScratchState>::default();
        let scratch = Self { file: tempfile::tempfile_in(folder)?, written: 0, most, told: Arc::clone(&told) };
        Ok((scratch, ScratchGuard(told)))
    }
}

impl ScratchGuard {
    /// Whether more bytes came than allowed.
    pub fn was_too_long(&self) -> bool {
        self.0.too_long.load(Relaxed)
    }

    /// Bytes that have come.
    pub fn written(&self) -> u64 {
        self.0.written.load(Relaxed)
    }
}

impl Drop for ScratchGuard {
    fn drop(&mut self) {
        self.0.unwanted.store(true, Relaxed);
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.told.unwanted.load(Relaxed) {
            return Err(io::Error::other("nobody waits for this file any more"));
        }
        if self.written + bytes.len() as u64 > self.most {
            self.told.too_long.store(true, Relaxed);
            return Err(io::Error::other("the file is longer than its message says"));
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        self.told.written.fetch_add(written as u64, Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for ScratchFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl DownloadWriter for ScratchFile {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.written = length;
        self.file.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_written_than_is_to_come_and_nothing_that_nobody_wants() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (mut scratch, wanted) = ScratchFile::new(folder.path(), 4)?;
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "it has no name");
        scratch.write_all(b"1234")?;
        assert!(!wanted.was_too_long());
        assert!(scratch.write_all(b"5").is_err());
        assert!(wanted.was_too_long());
        scratch.truncate(0)?;
        scratch.write_all(b"1234")?;
        scratch.truncate(0)?;
        drop(wanted);
        assert!(scratch.write_all(b"1").is_err());
        Ok(())
    }
}
