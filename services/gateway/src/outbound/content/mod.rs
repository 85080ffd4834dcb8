//! Builds the message of each command that sends, a file for each kind. Pure.
//!
//! The message's event is read from the message itself, as for a message written on the phone. Only a file comes with
//! its own event content.

mod contact;
mod forward;
mod location;
mod media;
mod message;
mod poll;
mod quote;
mod text;
mod update;

pub use message::{FileAttachment, MessageToSend};
pub use quote::{OWN_ADDRESS, context_mut};
pub use text::ALL;

use kurir_contract::command::{
    CommandError, SendContact, SendEdit, SendForward, SendLocation, SendMedia, SendPoll, SendReaction, SendRevoke,
    SendText,
};

/// Implements `TryFrom` for each request, from which the contract's `build_send` chooses.
macro_rules! messages {
    ($($request:ident => $build:path,)+) => {
        $(impl TryFrom<$request> for MessageToSend {
            type Error = CommandError;

            fn try_from(request: $request) -> Result<Self, CommandError> {
                $build(request)
            }
        })+
    };
}

messages! {
    SendText => text::build_text,
    SendLocation => location::build_location,
    SendContact => contact::build_contact,
    SendMedia => media::build_media,
    SendPoll => poll::build_poll,
    SendReaction => update::build_reaction,
    SendEdit => update::build_edit,
    SendRevoke => update::build_revoke,
    SendForward => forward::build_forward,
}

#[cfg(test)]
mod tests;
