//! The calls that somebody makes: how each of them ended.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phone_number::PhoneNumber;

/// Calls of one person that are remembered; the oldest give way.
const REMEMBERED: usize = 100;

#[derive(Debug, Clone, Default)]
pub struct CallLog(VecDeque<CallRecord>);

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CallRecord {
    pub id: String,
    pub to: PhoneNumber,
    pub state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    Ringing,
    /// The called account rejected it.
    Rejected,
    /// The called account took it.
    Accepted,
    Ended,
}

impl CallLog {
    /// Records a signal of the caller or of the called phone.
    pub fn note(&mut self, id: &str, to: &PhoneNumber, signal: CallSignal) {
        let state = match signal {
            CallSignal::Offer => CallState::Ringing,
            CallSignal::Terminate => CallState::Ended,
            CallSignal::Reject => CallState::Rejected,
            CallSignal::Accept => CallState::Accepted,
        };
        if let Some(call) = self.0.iter_mut().find(|call| call.id == id && call.to == *to) {
            call.state = state;
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(CallRecord { id: id.to_owned(), to: to.clone(), state });
    }

    /// The called account took the call or turned it down. False if nothing rings under this id.
    pub fn answer(&mut self, id: &str, by: &PhoneNumber, state: CallState) -> bool {
        let ringing = |call: &&mut CallRecord| call.id == id && call.to == *by && call.state == CallState::Ringing;
        match self.0.iter_mut().find(ringing) {
            Some(call) => {
                call.state = state;
                true
            }
            None => false,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &CallRecord> {
        self.0.iter()
    }
}

/// A signal of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallSignal {
    #[default]
    Offer,
    Terminate,
    Reject,
    /// The phone of the called account takes it.
    Accept,
}
