//! The simulator against the unmodified `whatsapp-rust` client, one file per chapter.
//! Each test has a simulator of its own on free ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod binary;
mod businesses;
mod calls_and_pictures;
mod channels;
mod clients;
mod communities;
mod control;
mod conversation;
mod device_lists;
mod endings;
mod faults;
mod fuzz;
mod group_admission;
mod groups;
mod history;
mod hundred_clients;
mod pairing;
mod passkey;
mod people;
mod privacy_tokens;
mod product;
mod restart;
mod strictness;
mod support;
mod witness;
mod witness_calls;
mod witness_devices;
mod witness_groups;
mod witnesses;
