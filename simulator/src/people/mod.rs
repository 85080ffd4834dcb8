//! Everybody on this WhatsApp: a person is a phone number with its phone (device 0), which is
//! simulated, and any number of companions (device 1…), which are real clients.
//! Promises that a number is always the same person with the same LID. A person with companions
//! is what the control API calls an account; anybody is a contact of everybody.

mod calls;
mod companion;
mod complaint;
mod dialing;
mod directory;
mod inbox;
mod person;

pub use calls::{CallLog, CallRecord, CallSignal, CallState};
pub use companion::CompanionDevice;
pub use complaint::Complaint;
pub use directory::PeopleDirectory;
pub use inbox::{PhoneInbox, ReceivedMessage, ReceivedPresence, ReceivedReceipt};
pub use person::{AddressingMode, PresenceState, ReceiptMode, SimulatedPerson};
