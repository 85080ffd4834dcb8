//! What is read and kept of an answer's body, whatever the protocol.

/// How much of a body is read, so that the connection can be used again. The connection of a longer body is closed.
const MAX_BODY_READ: usize = 64 * 1024;
/// What a chunk or a frame costs besides its bytes: a body of single bytes is not read for long.
const PART_COST: usize = 64;
/// How much of a body is kept for the record.
const MAX_BODY_KEPT: usize = 1024;

/// The start of a body.
#[derive(Debug, Default)]
pub struct AnswerBody {
    kept: Vec<u8>,
    read: usize,
}

impl AnswerBody {
    /// Takes a part. False: enough was read. A receiver that answers and then floods has answered.
    pub fn take(&mut self, part: &[u8]) -> bool {
        let room = MAX_BODY_KEPT - self.kept.len();
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
        self.read += part.len();
        self.read <= MAX_BODY_READ
    }

    /// A chunk begins. False: enough was read.
    pub fn begin_part(&mut self) -> bool {
        self.read += PART_COST;
        self.read <= MAX_BODY_READ
    }

    #[must_use]
    pub fn into_kept(self) -> Vec<u8> {
        self.kept
    }
}
