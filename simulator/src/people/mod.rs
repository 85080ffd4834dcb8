//! Everybody on this WhatsApp: a person is a phone number with its phone (device 0), which is
//! simulated, and any number of companions (device 1…), which are real clients.
//! Promises that a number is always the same person with the same LID. A person with companions
//! is what the control API calls an account; anybody is a contact of everybody.

mod calls;
mod companion;
mod directory;
mod inbox;
mod number;
mod person;

pub use calls::{Call, Calls};
pub use companion::{Companion, CompanionKeys, big_endian};
pub use directory::People;
pub use inbox::{Inbox, Received, ReceivedPresence, ReceivedReceipt};
pub use number::Number;
pub use person::{Addressing, Person, Receipts};
