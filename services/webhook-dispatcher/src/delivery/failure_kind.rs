//! What a failure says about the receiver. Pure.

use crate::delivery::outcome::{AttemptFailure, FailureClass, FailurePhase, MissingAnswer};

/// What a failure says about the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The receiver works and asks for a pause: 429, or 503 with `Retry-After`.
    Busy,
    /// The receiver cannot be reached, or a gateway says so in its place: no other event would arrive either.
    Away,
    /// The request was sent and no whole answer came. The receiver may be away, and it may have processed the event.
    Silent,
    /// The receiver answered, and did not accept this event.
    Event,
}

impl AttemptFailure {
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match (self.status, self.missing) {
            (Some(429), _) => FailureKind::Busy,
            (Some(503), _) if self.retry_after.is_some() => FailureKind::Busy,
            // What a proxy answers for a receiver that it does not reach, and a receiver that is starting.
            (Some(502..=504), _) => FailureKind::Away,
            (Some(_), _) | (None, None) => FailureKind::Event,
            (None, Some(missing)) => missing.kind(),
        }
    }
}

impl MissingAnswer {
    fn kind(self) -> FailureKind {
        match (self.class, self.phase) {
            // The guard's refusal is no outage: it lasts until somebody changes the URL or the allowed networks.
            (FailureClass::Forbidden, _) => FailureKind::Event,
            (_, FailurePhase::Dns | FailurePhase::Connect | FailurePhase::Tls) => FailureKind::Away,
            (FailureClass::Connect | FailureClass::Tls | FailureClass::Unresolved, _) => FailureKind::Away,
            (FailureClass::Timeout | FailureClass::Reset, _) => FailureKind::Silent,
            (FailureClass::Invalid | FailureClass::Other, _) => FailureKind::Event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{
        outcome::{AttemptOutcome, ExchangeError, ReceiverResponse},
        retry_after::RetryAfter,
    };
    use FailureKind::{Away, Busy, Event, Silent};
    use http::HeaderMap;
    use std::time::Duration;

    fn kind(answer: Result<ReceiverResponse, ExchangeError>) -> FailureKind {
        match AttemptOutcome::from_response(answer) {
            AttemptOutcome::Failed(failure) => failure.kind(),
            AttemptOutcome::Delivered { .. } => panic!("a failure was expected"),
        }
    }

    #[test]
    fn what_an_answer_says_about_the_receiver() {
        let answer = |status, retry_after| {
            let (headers, body) = (HeaderMap::new(), Vec::new());
            kind(Ok(ReceiverResponse { status, redirect_to: None, retry_after, headers, body }))
        };
        for (status, without_retry_after, with_it) in [
            (429, Busy, Busy),
            (503, Away, Busy),
            (502, Away, Away),
            (504, Away, Away),
            (500, Event, Event),
            (501, Event, Event),
            (505, Event, Event),
            (404, Event, Event),
            (408, Event, Event),
            (302, Event, Event),
        ] {
            assert_eq!(answer(status, None), without_retry_after, "{status}");
            let asked = RetryAfter::After(Duration::from_secs(1));
            assert_eq!(answer(status, Some(asked)), with_it, "{status} with Retry-After");
        }
    }

    #[test]
    fn what_a_missing_answer_says_about_the_receiver() {
        use FailureClass::{Connect, Forbidden, Invalid, Other, Reset, Timeout, Tls, Unresolved};
        use FailurePhase::{ResponseBody, ResponseHead, Send};
        for (class, phases, expected) in [
            (Connect, &[FailurePhase::Dns, FailurePhase::Connect][..], Away),
            (Tls, &[FailurePhase::Tls], Away),
            (Timeout, &[FailurePhase::Dns, FailurePhase::Connect, FailurePhase::Tls], Away),
            (Timeout, &[Send, ResponseHead, ResponseBody], Silent),
            (Reset, &[FailurePhase::Connect, FailurePhase::Tls], Away),
            (Reset, &[Send, ResponseHead, ResponseBody], Silent),
            (Forbidden, &FailurePhase::ALL, Event),
            (Unresolved, &[FailurePhase::Dns], Away),
            (Invalid, &[ResponseHead, ResponseBody], Event),
            (Other, &[ResponseHead], Event),
        ] {
            for &phase in phases {
                assert_eq!(
                    kind(Err(ExchangeError { class, phase, message: String::new() })),
                    expected,
                    "{class:?} {phase:?}"
                );
            }
        }
    }
}
