//! What each route does, by the paths' own names; where they are mounted says `router`.

pub mod chats;
pub mod dead_letters;
pub mod deliveries;
pub mod demo;
pub mod endpoints;
pub mod events;
pub mod health;
pub mod index;
pub mod keys;
pub mod ledger;
pub mod login;
pub mod media;
pub mod metrics;
pub mod replays;
pub mod sessions;
mod shown_types;
pub mod webhook;
pub mod whatsapp;
