//! What each route does, by the paths' own names; where they are mounted says `router`.

pub mod dead_letters;
pub mod endpoints;
pub mod health;
pub mod ledger;
pub mod media;
pub mod metrics;
pub mod replays;
pub mod sessions;
mod shown_types;
pub mod webhook;
pub mod whatsapp;
