//! Files that only a passphrase opens: what leaves an installation with secrets in it.
//!
//! A key is derived from the passphrase and a salt (PBKDF2 with HMAC-SHA-256), and the content is encrypted with it in
//! chunks (ChaCha20-Poly1305). A chunk's nonce holds its number and whether it is the last, so that chunks that were left
//! out, cut off, repeated or exchanged are noticed. Neither side holds the whole in memory.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};
use std::{
    io::{self, ErrorKind, Read, Write},
    num::NonZeroU32,
};

/// What each file begins with.
const MAGIC: &[u8; 16] = b"KURIR-SEALED-01\n";
const SALT: usize = 16;
/// The magic, the salt and the number of rounds.
const HEAD: usize = MAGIC.len() + SALT + 4;
/// As OWASP's cheat sheet on storing passwords has it for this function.
const ROUNDS: u32 = if cfg!(test) { 1_000 } else { 600_000 };
/// A file that asks for more would keep a processor busy for minutes.
const MOST_ROUNDS: u32 = 10_000_000;
/// Bytes of the content in one chunk.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// Why a sealed file does not open.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("this is no sealed file")]
    NotSealed,
    #[error("the passphrase is another one, or the file was changed")]
    DoesNotOpen,
}

impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}

/// Encrypts what is written to it.
pub struct SealingWriter<W: Write> {
    key: LessSafeKey,
    head: [u8; HEAD],
    into: W,
    waiting: Vec<u8>,
    number: u32,
}

impl<W: Write> SealingWriter<W> {
    /// Derives the key, which takes some tenths of a second, and writes the file's head.
    ///
    /// # Errors
    /// If the head cannot be written.
    pub fn new(passphrase: &str, into: W) -> io::Result<Self> {
        Self::with_rounds(passphrase, ROUNDS, into)
    }

    /// As [`new`](Self::new), at once: for a key that nobody can guess, of 32 random characters or more.
    ///
    /// # Errors
    /// If the head cannot be written.
    pub fn with_key(key: &str, into: W) -> io::Result<Self> {
        Self::with_rounds(key, 1, into)
    }

    fn with_rounds(passphrase: &str, rounds: u32, mut into: W) -> io::Result<Self> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let mut head = [0; HEAD];
        head[..MAGIC.len()].copy_from_slice(MAGIC);
        head[MAGIC.len()..MAGIC.len() + SALT].copy_from_slice(&salt);
        head[MAGIC.len() + SALT..].copy_from_slice(&rounds.to_be_bytes());
        into.write_all(&head)?;
        Ok(Self {
            key: derive(passphrase, &salt, rounds)?,
            head,
            into,
            waiting: Vec::with_capacity(CHUNK + TAG),
            number: 0,
        })
    }

    /// Where the sealed chunks go.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.into
    }

    /// Writes what is left. Without it the file does not open.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal_chunk(true)?;
        self.into.flush()?;
        Ok(self.into)
    }

    fn seal_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, is_last);
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("the file is too large"))?;
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(&self.head), &mut self.waiting)
            .map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        self.into.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() == CHUNK {
            self.seal_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Decrypts what is read through it. An error of kind `InvalidData` holds a [`SealError`].
pub struct OpeningReader<R: Read> {
    key: LessSafeKey,
    head: [u8; HEAD],
    from: R,
    /// The next chunk, as it came: whether a chunk is the last is known when nothing follows it.
    ahead: Vec<u8>,
    opened: Vec<u8>,
    read: usize,
    number: u32,
    is_over: bool,
}

impl<R: Read> OpeningReader<R> {
    /// Reads the head and derives the key.
    ///
    /// # Errors
    /// If this is no sealed file, or it cannot be read.
    pub fn new(passphrase: &str, mut from: R) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SealError::NotSealed.into(),
            _ => error,
        })?;
        let (magic, rest) = head.split_at(MAGIC.len());
        let (salt, rounds) = rest.split_at(SALT);
        let rounds = rounds.try_into().map_or(0, u32::from_be_bytes);
        if magic != MAGIC || !(1..=MOST_ROUNDS).contains(&rounds) {
            return Err(SealError::NotSealed.into());
        }
        let key = derive(passphrase, salt, rounds)?;
        let ahead = read_chunk(&mut from)?;
        Ok(Self { key, head, from, ahead, opened: Vec::new(), read: 0, number: 0, is_over: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let next = if self.ahead.len() == CHUNK + TAG { read_chunk(&mut self.from)? } else { Vec::new() };
        self.is_over = next.is_empty();
        let mut chunk = std::mem::replace(&mut self.ahead, next);
        let nonce = nonce(self.number, self.is_over);
        let opened = self.key.open_in_place(nonce, Aad::from(&self.head), &mut chunk);
        let length = opened.map_err(|_| io::Error::from(SealError::DoesNotOpen))?.len();
        chunk.truncate(length);
        (self.opened, self.read) = (chunk, 0);
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::from(SealError::NotSealed))?;
        Ok(())
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.opened.len() && !self.is_over {
            self.open_next()?;
        }
        let count = into.len().min(self.opened.len() - self.read);
        into[..count].copy_from_slice(&self.opened[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

fn derive(passphrase: &str, salt: &[u8], rounds: u32) -> io::Result<LessSafeKey> {
    let mut key = [0; 32];
    let rounds = NonZeroU32::new(rounds).ok_or_else(|| io::Error::from(SealError::NotSealed))?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase.as_bytes(), &mut key);
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| io::Error::other("this is no key"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: u32, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 5..NONCE_LEN - 1].copy_from_slice(&number.to_be_bytes());
    nonce[NONCE_LEN - 1] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

/// As many bytes as a chunk has, or those that are left.
fn read_chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK + TAG);
    from.take((CHUNK + TAG) as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    fn seal(content: &[u8]) -> Vec<u8> {
        let mut writer = SealingWriter::new(PASSPHRASE, Vec::new()).expect("a writer");
        writer.write_all(content).expect("written");
        writer.finish().expect("finished")
    }

    fn open(passphrase: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        OpeningReader::new(passphrase, sealed)
            .and_then(|mut reader| reader.read_to_end(&mut content))
            .map(|_| content)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_sealed_opens_at_every_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            assert_eq!(open(PASSPHRASE, &seal(&content)), Ok(content), "{length}");
        }
    }

    #[test]
    fn another_passphrase_and_every_change_are_noticed() {
        let content = vec![7; 2 * CHUNK + 10];
        let sealed = seal(&content);
        let does_not_open = Err(SealError::DoesNotOpen.to_string());
        assert_eq!(open("correct horse batterz", &sealed), does_not_open);
        let (first, second) = (HEAD..HEAD + CHUNK + TAG, HEAD + CHUNK + TAG..HEAD + 2 * (CHUNK + TAG));
        let mut exchanged = sealed[..HEAD].to_vec();
        exchanged.extend_from_slice(&sealed[second.clone()]);
        exchanged.extend_from_slice(&sealed[first.clone()]);
        exchanged.extend_from_slice(&sealed[second.end..]);
        let mut changed = sealed.clone();
        changed[HEAD + 5] ^= 1;
        let mut salted = sealed.clone();
        salted[MAGIC.len()] ^= 1;
        for (what, sealed) in [
            ("cut at the end of a chunk", &sealed[..first.end]),
            ("cut within a chunk", &sealed[..sealed.len() - 1]),
            ("without a chunk", &sealed[..HEAD]),
            ("exchanged chunks", &exchanged),
            ("a changed byte", &changed),
            ("another salt", &salted),
        ] {
            assert_eq!(open(PASSPHRASE, sealed), does_not_open, "{what}");
        }
        let mut longer = sealed.clone();
        longer.push(0);
        assert_eq!(open(PASSPHRASE, &longer), does_not_open);
    }

    #[test]
    fn what_is_no_sealed_file_is_called_so_at_once() {
        let mut endless = seal(b"content");
        endless[MAGIC.len() + SALT..HEAD].copy_from_slice(&u32::MAX.to_be_bytes());
        for (what, bytes) in
            [("nothing", &b""[..]), ("a text", b"this is a text and no sealed file"), ("rounds", &endless)]
        {
            assert_eq!(open(PASSPHRASE, bytes), Err(SealError::NotSealed.to_string()), "{what}");
        }
    }
}
