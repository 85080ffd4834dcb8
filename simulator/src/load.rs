//! The loads that were started: what each writes, to which account, and how far it is.

use std::{collections::BTreeMap, time::Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::phone_number::PhoneNumber;

/// Loads remembered; the oldest give way.
pub const MAX_LOADS: usize = 1_000;

pub const MAX_CONTACTS: u64 = 1_000;
pub const MAX_MESSAGES: u64 = 10_000_000;
pub const MAX_RATE: f64 = 100_000.0;

#[derive(Debug, Clone)]
pub struct LoadRun {
    pub id: String,
    pub to: PhoneNumber,
    pub messages: u64,
    pub rate: f64,
    pub contacts: Vec<PhoneNumber>,
    /// The group in which they write; none: each in the own chat.
    pub group: Option<String>,
    pub said: u64,
    pub failed: Option<String>,
    pub begun: Instant,
    pub ended: Option<Instant>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadProgress {
    pub id: String,
    pub to: PhoneNumber,
    pub messages: u64,
    /// Taken by the server so far.
    pub sent: u64,
    /// Acknowledged by the companions, each one counted.
    pub acknowledged: u64,
    pub done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub elapsed_ms: u64,
    pub contacts: Vec<PhoneNumber>,
}

#[derive(Debug, Default)]
pub struct LoadTable {
    pub loads: BTreeMap<u64, LoadRun>,
    pub next: u64,
}

impl LoadTable {
    /// How many loads there ever were: the next one gets contacts that none had before.
    pub fn begun(&self) -> u64 {
        self.next
    }

    pub fn continue_from(&mut self, begun: u64) {
        self.next = begun;
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut LoadRun> {
        self.loads.values_mut().find(|load| load.id == id)
    }
}
