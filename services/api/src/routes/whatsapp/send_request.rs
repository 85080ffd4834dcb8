//! What all requests that send have in common: they are read the same way by their route and as a part of a job.

use crate::response::ApiError;
use kurir_contract::{
    address::ChatJid,
    command::{CommandSpec, IdempotencyKey, PagePreview, Quote, SentMessage},
};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

/// A request that sends a message.
pub trait SendRequest: DeserializeOwned {
    /// The command that sends it.
    type Command: CommandSpec<Answer = SentMessage>;

    /// Makes the command's arguments of the fields.
    ///
    /// # Errors
    /// With what is wrong with the fields.
    fn read(self, key: Option<IdempotencyKey>) -> Result<RequestedSend<Self::Command>, ApiError>;

    /// Whether a quoted message that nobody knows is an error; the contract's routes send the reply all the same.
    const REQUIRES_QUOTED: bool = true;

    /// The id of the message that a reaction, an edit or a deletion is about.
    fn refers_to(_: &<Self::Command as CommandSpec>::Request) -> Option<&str> {
        None
    }

    /// The id of the message that this one replies to, and the place of what is known of it; none if it is no reply.
    fn quoting(_: &mut <Self::Command as CommandSpec>::Request) -> Option<(&str, &mut Option<Quote>)> {
        None
    }

    /// The place of the preview of a link; none if it has no text.
    fn link_preview(_: &mut <Self::Command as CommandSpec>::Request) -> Option<&mut Option<Box<PagePreview>>> {
        None
    }
}

/// A message that is to be sent.
pub struct RequestedSend<C: CommandSpec> {
    pub to: ChatJid,
    pub message: C::Request,
    /// When it is to be sent; at once if it is missing.
    pub at: Option<OffsetDateTime>,
}
