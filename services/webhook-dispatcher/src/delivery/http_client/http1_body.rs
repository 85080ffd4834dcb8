//! Where the body of an HTTP/1 answer ends. Pure: it is fed with bytes as they come.

use crate::delivery::http_client::{answer_body::AnswerBody, http1_head::BodyFraming};
use bytes::{Buf as _, BytesMut};

/// A line with the size of a chunk, or of a trailer. Longer ones are no good form.
const MAX_LINE: usize = 4 * 1024;

/// Reads a body.
#[derive(Debug)]
pub struct BodyReader {
    state: ReadState,
    pub body: AnswerBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    /// This many bytes are left.
    Sized(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Complete,
    /// The rest is not read. Where the next answer would begin is unknown.
    Abandoned,
}

/// What the reader says after a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyProgress {
    NeedsMore,
    /// The body is complete. The connection can be used again if nothing follows.
    Complete,
    /// No more is read: there is too much, or it is not in good form. The status decides.
    Abandoned,
}

impl BodyReader {
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::Length(0) => ReadState::Complete,
            BodyFraming::Length(length) => ReadState::Sized(length),
            BodyFraming::Chunked => ReadState::ChunkSize,
            BodyFraming::UntilClose => ReadState::UntilClose,
            BodyFraming::Unknown => ReadState::Abandoned,
        };
        Self { state, body: AnswerBody::default() }
    }

    /// Takes what belongs to the body from the start of `buffer`.
    pub fn read(&mut self, buffer: &mut BytesMut) -> BodyProgress {
        loop {
            self.state = match self.state {
                ReadState::Complete => return BodyProgress::Complete,
                ReadState::Abandoned => {
                    self.body.take(buffer);
                    buffer.clear();
                    return BodyProgress::Abandoned;
                }
                _ if buffer.is_empty() => return BodyProgress::NeedsMore,
                ReadState::Sized(left) => match self.take(buffer, left) {
                    Some(0) => ReadState::Complete,
                    Some(left) => ReadState::Sized(left),
                    None => ReadState::Abandoned,
                },
                ReadState::UntilClose => match self.take(buffer, u64::MAX) {
                    Some(_) => ReadState::UntilClose,
                    None => ReadState::Abandoned,
                },
                ReadState::ChunkData(left) => match self.take(buffer, left) {
                    Some(0) => ReadState::ChunkEnd,
                    Some(left) => ReadState::ChunkData(left),
                    None => ReadState::Abandoned,
                },
                state @ (ReadState::ChunkSize | ReadState::ChunkEnd | ReadState::Trailers) => {
                    let Some(end) = buffer.iter().position(|&byte| byte == b'\n') else {
                        if buffer.len() <= MAX_LINE {
                            return BodyProgress::NeedsMore;
                        }
                        self.state = ReadState::Abandoned;
                        continue;
                    };
                    let line = buffer.split_to(end + 1);
                    match after_line(state, line.trim_ascii()) {
                        ReadState::ChunkData(_) if !self.body.begin_part() => ReadState::Abandoned,
                        next => next,
                    }
                }
            };
        }
    }

    /// The other side has closed the connection. False: the body is not complete.
    #[must_use]
    pub fn is_complete_at_close(&self) -> bool {
        matches!(self.state, ReadState::UntilClose | ReadState::Complete | ReadState::Abandoned)
    }

    /// Takes up to `left` bytes. None: enough was read.
    fn take(&mut self, buffer: &mut BytesMut, left: u64) -> Option<u64> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let goes_on = self.body.take(&buffer[..length]);
        buffer.advance(length);
        goes_on.then(|| left - length as u64)
    }
}

fn after_line(state: ReadState, line: &[u8]) -> ReadState {
    match state {
        ReadState::ChunkSize => {
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'));
            match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
                Some(0) => ReadState::Trailers,
                Some(size) => ReadState::ChunkData(size),
                None => ReadState::Abandoned,
            }
        }
        ReadState::ChunkEnd if line.is_empty() => ReadState::ChunkSize,
        ReadState::Trailers if line.is_empty() => ReadState::Complete,
        ReadState::Trailers => ReadState::Trailers,
        _ => ReadState::Abandoned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(framing: BodyFraming, bytes: &[u8], step: usize) -> (BodyProgress, Vec<u8>, Vec<u8>) {
        let mut reader = BodyReader::new(framing);
        let mut buffer = BytesMut::new();
        let mut progress = reader.read(&mut buffer);
        for part in bytes.chunks(step) {
            buffer.extend_from_slice(part);
            if progress == BodyProgress::NeedsMore {
                progress = reader.read(&mut buffer);
            }
        }
        (progress, reader.body.into_kept(), buffer.to_vec())
    }

    #[test]
    fn a_body_ends_where_its_head_says_however_it_is_cut() {
        use BodyFraming::{Chunked, Length, Unknown, UntilClose};
        use BodyProgress::{Abandoned, Complete, NeedsMore};
        for (framing, bytes, progress, body) in [
            (Length(0), "", Complete, ""),
            (Length(3), "abc", Complete, "abc"),
            (Length(4), "abc", NeedsMore, "abc"),
            (Chunked, "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", Complete, "abc"),
            (Chunked, "2\nab\n0\nX-Trailer: y\n\n", Complete, "ab"),
            (Chunked, "0\r\n", NeedsMore, ""),
            (Chunked, "no size\r\n", Abandoned, ""),
            (Chunked, "1\r\nabc\r\n", Abandoned, "a"),
            (Chunked, "ffffffffffffffffff\r\n", Abandoned, ""),
            (UntilClose, "abc", NeedsMore, "abc"),
        ] {
            for step in [1, 2, 100] {
                let (seen, kept, rest) = read(framing, bytes.as_bytes(), step);
                assert_eq!(
                    (seen, &kept[..], rest.is_empty()),
                    (progress, body.as_bytes(), true),
                    "{bytes:?} by {step}"
                );
            }
        }
        assert_eq!(read(Unknown, b"abc", 100).0, Abandoned);
        assert_eq!(read(Length(1), b"ab", 100).2, b"b");
    }

    #[test]
    fn a_flood_is_not_read_to_its_end() {
        let flood = vec![b'.'; 70 * 1024];
        for framing in [BodyFraming::UntilClose, BodyFraming::Length(1 << 40)] {
            let (progress, kept, _) = read(framing, &flood, 8 * 1024);
            assert_eq!((progress, kept.len()), (BodyProgress::Abandoned, 1024));
        }
    }

    #[test]
    fn a_flood_of_small_chunks_is_not_read_to_its_end() {
        let chunk = b"1\r\n.\r\n";
        let mut reader = BodyReader::new(BodyFraming::Chunked);
        let is_abandoned = |_: &usize| reader.read(&mut BytesMut::from(&chunk[..])) == BodyProgress::Abandoned;
        let chunks = (1..100_000).find(is_abandoned);
        assert!(chunks.is_some_and(|chunks| chunks < 1_100), "{chunks:?} chunks were read");
        // As many chunks as an answer has are read.
        let answer = [chunk.repeat(500).as_slice(), b"0\r\n\r\n"].concat();
        assert_eq!(read(BodyFraming::Chunked, &answer, 1_000).0, BodyProgress::Complete);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..20) {
            read(BodyFraming::Chunked, &bytes, step);
        }
    }
}
