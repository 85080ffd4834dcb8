//! What each route does, by the paths' own names; where they are mounted says `router`.

pub mod health;
pub mod metrics;
pub mod webhook;
pub mod whatsapp;
