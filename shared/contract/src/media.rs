//! Files: where received ones rest until somebody fetches them, and where those that are to be sent wait.
//!
//! Both are object stores of NATS, so that any replica of a service can serve what another one has put there.

use std::time::Duration;

/// Received files, each under its file's name.
pub const MEDIA_BUCKET: &str = "media";
/// Files that are to be sent, from the request to WhatsApp's acknowledgement.
pub const MEDIA_TO_SEND_BUCKET: &str = "media_to_send";
/// A send that waits (`sendAt`, a restriction) needs its file as long.
pub const MEDIA_TO_SEND_LASTS: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// A name for a file that is to be sent, which nobody can guess and nothing else has.
#[must_use]
pub fn new_object() -> String {
    format!("{:032x}", rand::random::<u128>())
}
