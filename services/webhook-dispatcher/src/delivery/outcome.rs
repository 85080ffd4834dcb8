//! What an attempt came to: any 2xx is success, everything else is a failure with a reason in words.
//!
//! Pure. Nothing here holds a URL's path: it may be a secret.

use kurir_contract::delivery::AttemptResult;
use std::{fmt, time::Duration};

/// A receiver's answer, read as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Where a redirect points, without its path.
    pub redirect_to: Option<String>,
    /// The first kilobyte.
    pub body: Vec<u8>,
}

/// There was no answer, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub class: Class,
    /// In words, without the URL.
    pub message: String,
}

/// Why there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No connection: refused, unreachable, no such host.
    Connect,
    /// A connection that cannot be trusted.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke before the answer was complete.
    Reset,
    /// What came is not HTTP.
    Invalid,
    /// Anything else.
    Other,
}

impl Class {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}

impl NoAnswer {
    #[must_use]
    pub fn in_time(deadline: Duration) -> Self {
        let message = format!("no complete answer within {}", humantime::format_duration(deadline));
        Self { class: Class::Timeout, message }
    }
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered { status: u16 },
    Failed(Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub result: AttemptResult,
    /// In words, for the log and the dead letter.
    pub reason: String,
    /// Of the answer, if there was one.
    pub status: Option<u16>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Outcome {
    #[must_use]
    pub fn of(answer: Result<Answer, NoAnswer>) -> Self {
        match answer {
            Ok(Answer { status: status @ 200..=299, .. }) => Self::Delivered { status },
            Ok(Answer { status, redirect_to, body }) => Self::Failed(Failure {
                reason: match redirect_to {
                    Some(target) => format!(
                        "the receiver answered {status}, a redirect to {target}; redirects are not followed, so the \
                         webhook's URL must be the final one"
                    ),
                    None => format!("the receiver answered {status}"),
                },
                result: AttemptResult::Refused {
                    status,
                    body: String::from_utf8_lossy(&body).into_owned(),
                    headers: Vec::new(),
                },
                status: Some(status),
            }),
            Err(NoAnswer { class, message }) => Self::Failed(Failure {
                reason: message.clone(),
                result: AttemptResult::Failed { class: class.as_str().to_owned(), message },
                status: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16) -> Answer {
        Answer { status, redirect_to: None, body: b"why".to_vec() }
    }

    #[test]
    fn only_a_2xx_is_success() {
        for (status, delivered) in
            [(200, true), (201, true), (202, true), (204, true), (299, true), (199, false), (300, false), (304, false)]
                .into_iter()
                .chain([301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 502, 503, 599, 600].map(|s| (s, false)))
        {
            let outcome = Outcome::of(Ok(answer(status)));
            assert_eq!(outcome == Outcome::Delivered { status }, delivered, "{status}: {outcome:?}");
        }
    }

    #[test]
    fn a_redirect_names_its_target() {
        let redirect = Answer { redirect_to: Some("other.example".to_owned()), ..answer(302) };
        let Outcome::Failed(failure) = Outcome::of(Ok(redirect)) else { panic!("a redirect is a failure") };
        assert!(failure.reason.contains("302") && failure.reason.contains("other.example"), "{failure}");
    }

    #[test]
    fn silence_is_a_failure_with_its_class() {
        let Outcome::Failed(failure) = Outcome::of(Err(NoAnswer::in_time(Duration::from_secs(10)))) else {
            panic!("silence is a failure")
        };
        assert_eq!(failure.status, None);
        assert_eq!(failure.reason, "no complete answer within 10s");
        assert_eq!(
            failure.result,
            AttemptResult::Failed { class: "timeout".to_owned(), message: failure.reason.clone() }
        );
    }

    proptest! {
        #[test]
        fn every_answer_has_an_outcome(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..64)) {
            match Outcome::of(Ok(Answer { status, redirect_to: None, body })) {
                Outcome::Delivered { status: seen } => prop_assert!(seen == status && (200..300).contains(&status)),
                Outcome::Failed(failure) => {
                    prop_assert!(!(200..300).contains(&status));
                    prop_assert_eq!(failure.status, Some(status));
                }
            }
        }
    }
}
