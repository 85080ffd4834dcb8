//! The stanzas that clients and simulated phones exchange.
//!
//! From a client, `dispatch` hands a stanza to:
//! - `iq`, which answers questions with `usync`, `prekeys`, `groups`, `group_changes`, `profile` and `restrictions`
//! - `routing`: its messages, to every receiver; `inbound`: what a simulated phone makes of one
//! - `receipts`: its receipts and acks, `presence`: its presence and typing, `media_retry`: a lost file
//!
//! To a client:
//! - `outbound`: messages of simulated phones (`envelope` is the stanza around them), `status`, `channel`
//! - `own_phone`: what the account's phone tells its own companions
//! - `notifications`: calls, presence, profiles and changes of groups

mod channel;
mod dispatch;
mod envelope;
mod group_changes;
mod groups;
mod inbound;
mod iq;
mod media_retry;
mod message_view;
mod node;
mod notifications;
mod outbound;
mod own_phone;
mod prekeys;
mod presence;
mod profile;
mod receipts;
mod restrictions;
mod routing;
mod status;
mod usync;

pub use notifications::{PastMessage, PresenceKind};
pub use outbound::{OutboundMessage, SendError};
