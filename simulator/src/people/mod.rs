//! Everybody on this WhatsApp: a person is a phone number with its phone (device 0), which is
//! simulated, and any number of companions (device 1…), which are real clients.
//! Promises that a number is always the same person with the same LID. A person with companions
//! is what the control API calls an account; anybody is a contact of everybody.

pub mod ab_properties;
pub mod business;
mod calls;
mod companion;
mod complaint;
mod dialing;
mod directory;
mod inbox;
mod person;
mod privacy_tokens;
pub mod scenario;

pub use ab_properties::AbProperties;
pub use business::BusinessProfile;
pub use calls::{CallLog, CallRecord, CallSignal, CallState};
pub use companion::CompanionDevice;
pub use complaint::Complaint;
pub use directory::PeopleDirectory;
pub use inbox::{PhoneInbox, ReceivedMessage, ReceivedPresence, ReceivedReceipt};
pub use person::{AddressingMode, PresenceState, ReceiptMode, SimulatedPerson};
pub use privacy_tokens::{PrivacyToken, PrivacyTokens, SaltDelivery, TokenKind};
