//! The simulator against the unmodified `whatsapp-rust` client, one file per chapter.
//! Each test has a simulator of its own on free ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod binary;
mod clients;
mod control;
mod conversation;
mod endings;
mod faults;
mod group_admission;
mod groups;
mod pairing;
mod passkey;
mod people;
mod restart;
mod support;
mod witness;
mod witness_devices;
mod witness_groups;
mod witnesses;
