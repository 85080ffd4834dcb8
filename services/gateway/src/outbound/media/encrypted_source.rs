//! An encrypted file as the upload reads it: from the start, or from where an earlier upload stopped, as often as
//! necessary.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use wacore::upload::UploadSource;

pub struct EncryptedSource {
    pub file: Arc<File>,
    pub length: u64,
    /// Ends every reader.
    pub over: CancellationToken,
}

/// Has its own position, so that two readers of one file do not disturb each other.
struct CiphertextReader {
    file: Arc<File>,
    at: u64,
    over: CancellationToken,
}

impl UploadSource for EncryptedSource {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(CiphertextReader { file: Arc::clone(&self.file), at: offset, over: self.over.clone() }))
    }
}

impl Read for CiphertextReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.over.is_cancelled() {
            return Err(io::Error::other("nobody waits for this upload any more"));
        }
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn ciphertext() -> EncryptedSource {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        EncryptedSource { file: Arc::new(file), length: 10, over: CancellationToken::new() }
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let ciphertext = ciphertext();
        let mut whole = ciphertext.reader_from(0).expect("a reader");
        let mut first = [0; 4];
        whole.read_exact(&mut first).expect("read");
        let (mut tail, mut rest) = (String::new(), String::new());
        ciphertext.reader_from(7).expect("a reader").read_to_string(&mut tail).expect("read");
        whole.read_to_string(&mut rest).expect("read");
        assert_eq!((&first, rest.as_str(), tail.as_str()), (b"0123", "456789", "789"));
    }

    #[test]
    fn a_reader_ends_with_its_try() {
        let ciphertext = ciphertext();
        let mut reader = ciphertext.reader_from(0).expect("a reader");
        ciphertext.over.cancel();
        assert!(reader.read(&mut [0; 4]).is_err());
    }
}
