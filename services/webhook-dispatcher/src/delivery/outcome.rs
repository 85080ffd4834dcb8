//! The outcome of an attempt: any 2xx is success, everything else is a failure with a reason in words.
//!
//! Pure. Nothing here contains a URL's path, which may be a secret.

use crate::delivery::retry_after::RetryAfter;
use http::{
    HeaderMap,
    header::{LOCATION, SET_COOKIE},
};
use kurir_contract::delivery::AttemptResult;
use std::{fmt, time::Duration};

/// How many bytes of an answer's headers are kept for the record, names and values together.
const MAX_KEPT_HEADERS: usize = 1024;

/// A receiver's answer, as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverResponse {
    pub status: u16,
    /// Where a redirect points, without its path.
    pub redirect_to: Option<String>,
    /// Read from answers with the status 429 or 503.
    pub retry_after: Option<RetryAfter>,
    /// All headers of the answer: moving them costs nothing. [`kept_headers`] selects what is kept.
    pub headers: HeaderMap,
    /// The first kilobyte.
    pub body: Vec<u8>,
}

/// Selects the headers that are kept: each that still fits into a kilobyte, without the receiver's cookies and without the
/// target of a redirect, whose path may be a secret.
#[must_use]
pub fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut room = MAX_KEPT_HEADERS;
    let mut kept = Vec::new();
    for (name, value) in headers {
        let length = name.as_str().len() + value.len();
        if name != SET_COOKIE && name != LOCATION && length <= room {
            room -= length;
            kept.push((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
    }
    kept
}

/// There was no answer, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeError {
    pub class: FailureClass,
    pub phase: FailurePhase,
    /// In words, without the URL.
    pub message: String,
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// No connection: refused, unreachable, no such host.
    Connect,
    /// Webhooks must not go to this address. Nothing was connected to.
    Forbidden,
    /// No address for the host, at an endpoint whose owner must not learn what this network's DNS says: it is shown as
    /// [`FailureClass::Forbidden`].
    Unresolved,
    /// A connection that cannot be trusted.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke before the answer was complete.
    Reset,
    /// The answer is not HTTP.
    Invalid,
    /// Anything else.
    Other,
}

impl FailureClass {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Forbidden | Self::Unresolved => "forbidden",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }
}

/// The step of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailurePhase {
    /// The host's name was looked up.
    Dns,
    /// A TCP connection was made.
    Connect,
    /// The TLS handshake was under way.
    Tls,
    /// The request was sent, or waited for its turn on a connection. The receiver may not have seen all of it.
    Send,
    /// The whole request was sent and the head of the answer was missing.
    ResponseHead,
    /// The head of the answer arrived, its body did not.
    ResponseBody,
}

impl FailurePhase {
    /// All phases, in the order of an attempt.
    pub const ALL: [Self; 6] =
        [Self::Dns, Self::Connect, Self::Tls, Self::Send, Self::ResponseHead, Self::ResponseBody];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::ResponseHead => "response_head",
            Self::ResponseBody => "response_body",
        }
    }
}

impl ExchangeError {
    #[must_use]
    pub fn timed_out(deadline: Duration, phase: FailurePhase) -> Self {
        let message = format!("no complete answer within {}", humantime::format_duration(deadline));
        Self { class: FailureClass::Timeout, phase, message }
    }
}

/// Why there was no answer, for code that decides what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingAnswer {
    pub class: FailureClass,
    pub phase: FailurePhase,
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Delivered { status: u16, headers: HeaderMap },
    Failed(AttemptFailure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFailure {
    pub result: AttemptResult,
    /// In words, for the log and the dead letter.
    pub reason: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was no answer, if there was none.
    pub missing: Option<MissingAnswer>,
    /// The wait that the receiver asked for.
    pub retry_after: Option<RetryAfter>,
    /// The headers of the answer; empty if there was none.
    pub headers: HeaderMap,
}

impl AttemptFailure {
    /// The failure with the answer's headers, for the record.
    #[must_use]
    pub fn to_record(&self) -> AttemptResult {
        match self.result.clone() {
            AttemptResult::Refused { status, body, .. } => {
                AttemptResult::Refused { status, body, headers: kept_headers(&self.headers) }
            }
            other => other,
        }
    }
}

impl fmt::Display for AttemptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl AttemptOutcome {
    #[must_use]
    pub fn from_response(answer: Result<ReceiverResponse, ExchangeError>) -> Self {
        match answer {
            Ok(ReceiverResponse { status: status @ 200..=299, headers, .. }) => Self::Delivered { status, headers },
            Ok(ReceiverResponse { status, redirect_to, retry_after, headers, body }) => Self::Failed(AttemptFailure {
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
                missing: None,
                retry_after,
                headers,
            }),
            Err(ExchangeError { class, phase, message }) => Self::Failed(AttemptFailure {
                reason: message.clone(),
                result: AttemptResult::Failed {
                    class: class.as_str().to_owned(),
                    phase: Some(phase.as_str().into()),
                    message,
                },
                status: None,
                missing: Some(MissingAnswer { class, phase }),
                retry_after: None,
                headers: HeaderMap::new(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16) -> ReceiverResponse {
        ReceiverResponse {
            status,
            redirect_to: None,
            retry_after: None,
            headers: HeaderMap::new(),
            body: b"why".to_vec(),
        }
    }

    #[test]
    fn only_a_2xx_is_success() {
        for (status, delivered) in
            [(200, true), (201, true), (202, true), (204, true), (299, true), (199, false), (300, false), (304, false)]
                .into_iter()
                .chain([301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 502, 503, 599, 600].map(|s| (s, false)))
        {
            let outcome = AttemptOutcome::from_response(Ok(answer(status)));
            let seen = matches!(outcome, AttemptOutcome::Delivered { status: seen, .. } if seen == status);
            assert_eq!(seen, delivered, "{status}: {outcome:?}");
        }
    }

    #[test]
    fn a_redirect_names_its_target() {
        let redirect = ReceiverResponse { redirect_to: Some("other.example".to_owned()), ..answer(302) };
        let AttemptOutcome::Failed(failure) = AttemptOutcome::from_response(Ok(redirect)) else {
            panic!("a redirect is a failure")
        };
        assert!(failure.reason.contains("302") && failure.reason.contains("other.example"), "{failure}");
    }

    #[test]
    fn silence_is_a_failure_with_its_class_and_its_phase() {
        let silence = ExchangeError::timed_out(Duration::from_secs(10), FailurePhase::ResponseHead);
        let AttemptOutcome::Failed(failure) = AttemptOutcome::from_response(Err(silence)) else {
            panic!("silence is a failure")
        };
        assert_eq!(failure.status, None);
        assert_eq!(failure.reason, "no complete answer within 10s");
        assert_eq!(
            failure.result,
            AttemptResult::Failed {
                class: "timeout".to_owned(),
                phase: Some("response_head".into()),
                message: failure.reason.clone(),
            }
        );
    }

    #[test]
    fn of_a_head_a_kilobyte_is_kept_and_no_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        headers.insert(SET_COOKIE, "key=secret".parse().unwrap());
        headers.insert(LOCATION, "/secret".parse().unwrap());
        headers.insert("x-long", "x".repeat(1020).parse().unwrap());
        headers.append("x-twice", "1".parse().unwrap());
        headers.append("x-twice", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut kept = kept_headers(&headers);
        kept.sort();
        assert_eq!(kept, [pair("content-type", "text/plain"), pair("x-twice", "1"), pair("x-twice", "\u{fffd}")]);
    }

    proptest! {
        #[test]
        fn every_answer_has_an_outcome(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..64)) {
            match AttemptOutcome::from_response(Ok(ReceiverResponse { body, ..answer(status) })) {
                AttemptOutcome::Delivered { status: seen, .. } => prop_assert!(seen == status && (200..300).contains(&status)),
                AttemptOutcome::Failed(failure) => {
                    prop_assert!(!(200..300).contains(&status));
                    prop_assert_eq!(failure.status, Some(status));
                }
            }
        }
    }
}
