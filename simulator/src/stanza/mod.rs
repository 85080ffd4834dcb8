//! The stanzas that clients and simulated phones exchange.
//!
//! From a client, `dispatch` hands a stanza to:
//! - `iq`, which answers questions with `usync`, `prekeys`, `groups` (`group_changes`, `group_settings`,
//!   `group_requests`, `communities`), `profile`, `privacy`, `privacy_tokens`, `business`, `app_state`, `channel` and `graphql`
//!   (`channel_queries`, `restrictions`); `request_parts` is what a request may hold
//! - `routing`: its messages (`client_message`), to every receiver, with the list of devices in the ack
//!   (`participant_hash`); `inbound`: what a simulated phone makes of one, `complaints`: what an app would not like in it
//! - `receipts`: its receipts and acks, `presence`: its presence and typing, `media_retry`: a lost file
//!
//! To a client:
//! - `outbound`: messages of simulated phones (`envelope` is the stanza around them, `message_kind` what it says of the
//!   content, `sealing` its encryption, `device_sent` the own copies), once more in `resend`; `status`, `channel`
//! - `own_phone`: what the account's phone tells its own companions, `history`: the past (`past` is what it keeps),
//!   `peer_request`: what they ask it
//! - `calls`, `notifications`: profiles and changes of groups

mod app_state;
mod business;
mod calls;
mod channel;
mod channel_queries;
mod client_message;
mod communities;
mod complaints;
mod device_sent;
mod dispatch;
mod envelope;
mod graphql;
mod group_changes;
mod group_requests;
mod group_settings;
mod groups;
mod history;
mod inbound;
mod iq;
mod media_retry;
mod message_kind;
mod message_view;
mod node;
mod notifications;
mod outbound;
mod own_phone;
mod participant_hash;
mod past;
mod peer_request;
mod prekeys;
mod presence;
mod privacy;
mod privacy_tokens;
mod profile;
mod receipts;
mod request_parts;
mod resend;
mod restrictions;
mod routing;
mod sealing;
mod status;
mod usync;

pub use calls::OutgoingCall;
pub use channel_queries::are_good_texts;
pub use message_kind::StanzaKind;
pub use outbound::{OutboundMessage, SendError};
pub use past::PastMessage;
pub use presence::PresenceKind;
