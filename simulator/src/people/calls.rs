//! The calls that somebody makes: how each of them ended.

use std::collections::VecDeque;

use serde::Serialize;

use super::Number;
use crate::stanza::Signal;

/// Calls of one person that are remembered; the oldest give way.
const REMEMBERED: usize = 100;

#[derive(Debug, Clone, Default)]
pub struct Calls(VecDeque<Call>);

#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub id: String,
    pub to: Number,
    pub state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    Ringing,
    /// Turned down by who was called.
    Rejected,
    Ended,
}

impl Calls {
    /// A signal of the caller, or of the phone of who was called.
    pub fn note(&mut self, id: &str, to: &Number, signal: Signal) {
        let state = match signal {
            Signal::Offer => CallState::Ringing,
            Signal::Terminate => CallState::Ended,
            Signal::Reject => CallState::Rejected,
        };
        if let Some(call) = self.0.iter_mut().find(|call| call.id == id) {
            call.state = state;
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Call { id: id.to_owned(), to: to.clone(), state });
    }

    /// False if nothing rings under this id.
    pub fn turn_down(&mut self, id: &str, by: &Number) -> bool {
        let ringing = |call: &&mut Call| call.id == id && call.to == *by && call.state == CallState::Ringing;
        match self.0.iter_mut().find(ringing) {
            Some(call) => {
                call.state = CallState::Rejected;
                true
            }
            None => false,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }
}
