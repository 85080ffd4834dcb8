//! Whether a stream still is the one that was read. A stream that was deleted and made again has another time of creation; one that
//! was restored from an older copy has the same, and may count other messages under the sequences that were read.

use anyhow::Context as _;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use time::OffsetDateTime;

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMessage {
    pub sequence: u64,
    /// When the stream stored it.
    pub stored_at: OffsetDateTime,
}

impl ReadMessage {
    /// Whether the stream has this message, or had it. Without an answer to that, yes: the message may have been deleted.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn was_in(self, stream: &Stream) -> anyhow::Result<bool> {
        let state = &stream.cached_info().state;
        if self.sequence > state.last_sequence {
            return Ok(false);
        }
        if self.sequence < state.first_sequence {
            return Ok(true);
        }
        match stream.get_raw_message(self.sequence).await {
            Ok(message) => Ok(message.time == self.stored_at),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(true),
            Err(error) => Err(error).context("failed to read the message that was read last"),
        }
    }
}
