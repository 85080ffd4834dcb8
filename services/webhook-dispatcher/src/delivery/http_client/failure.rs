//! Why a request got no answer on a connection, and whether the receiver can have seen it.

use crate::delivery::{
    http_client::work_meter::is_too_much_work,
    outcome::{ExchangeError, FailureClass, FailurePhase},
};
use std::io;

/// A request that got no answer on a connection.
#[derive(Debug)]
pub struct SendFailure {
    pub error: ExchangeError,
    /// Whether the receiver did not take the request: it is sent again on another connection, without an attempt spent.
    pub is_unseen: bool,
}

impl SendFailure {
    #[must_use]
    pub fn seen(class: FailureClass, phase: FailurePhase, message: &str) -> Self {
        Self { error: ExchangeError { class, phase, message: message.to_owned() }, is_unseen: false }
    }

    #[must_use]
    pub fn unseen(class: FailureClass, phase: FailurePhase, message: &str) -> Self {
        Self { is_unseen: true, ..Self::seen(class, phase, message) }
    }
}

/// What a broken connection means: reset, unless the receiver did what no HTTP server does.
#[must_use]
pub fn classify_io(error: &io::Error) -> FailureClass {
    if is_too_much_work(error) { FailureClass::Invalid } else { FailureClass::Reset }
}
