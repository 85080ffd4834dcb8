//! A client's connection, from the first byte to the last: `socket` reads and writes frames, `login` admits or
//! refuses, `pairing` links new companions (`pairing_code` and `passkey_pairing` are its two other ways),
//! `offline_delivery` decides what of the offline queue is written when.

mod login;
mod offline_delivery;
mod pairing;
mod pairing_code;
mod passkey_pairing;
mod socket;

pub use pairing::{PairingError, ScanOutcome};
pub use passkey_pairing::CeremonyView;
pub use socket::accept;
