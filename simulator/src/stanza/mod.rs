//! The stanzas that clients and simulated phones exchange.
//!
//! From a client, `dispatch` hands a stanza to:
//! - `iq`, which answers questions with `usync`, `prekeys`, `groups` (`group_changes`,
//!   `group_settings`, `group_requests`), `profile`,
//!   `privacy`, `app_state` and `restrictions`
//! - `routing`: its messages, to every receiver; `inbound`: what a simulated phone makes of one
//! - `receipts`: its receipts and acks, `presence`: its presence and typing, `media_retry`: a lost file
//!
//! To a client:
//! - `outbound`: messages of simulated phones (`envelope` is the stanza around them, `message_kind` what it says of the
//!   content), `status`, `channel`
//! - `own_phone`: what the account's phone tells its own companions, `peer_request`: what they ask it
//! - `notifications`: calls, profiles and changes of groups

mod app_state;
mod channel;
mod dispatch;
mod envelope;
mod group_changes;
mod group_requests;
mod group_settings;
mod groups;
mod inbound;
mod iq;
mod media_retry;
mod message_kind;
mod message_view;
mod node;
mod notifications;
mod outbound;
mod own_phone;
mod peer_request;
mod prekeys;
mod presence;
mod privacy;
mod profile;
mod receipts;
mod restrictions;
mod routing;
mod status;
mod usync;

pub use message_kind::StanzaKind;
pub use notifications::PastMessage;
pub use outbound::{OutboundMessage, SendError};
pub use presence::PresenceKind;
