//! What a delivery tells the worker when its message is settled.

use std::time::Duration;

/// How one delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryResult {
    pub verdict: EndpointVerdict,
    /// How long the request took; zero if there was none.
    pub took: Duration,
    /// Whether it was a probe.
    pub probe: bool,
    /// Whether RETRIES holds a next attempt.
    pub retry_stored: bool,
}

/// A failure that is a part of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutageVerdict {
    /// The pause until the next probe.
    pub probe_pause: Duration,
    /// Whether the event has made all its scheduled attempts, and waits with its endpoint now.
    pub exhausted: bool,
}

/// What the delivery says about the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointVerdict {
    Succeeded,
    Failed {
        /// In words, without the URL.
        reason: String,
        /// Set if the receiver is away.
        outage: Option<OutageVerdict>,
        /// Whether fewer requests at once may help: there was no answer, or the receiver had an error of its own.
        overload: bool,
    },
    /// The receiver works and asks for a pause.
    Busy {
        reason: String,
        /// The pause that it asks for; none if it names none.
        pause: Option<Duration>,
    },
    /// The receiver said that it is gone for good.
    Gone {
        reason: String,
    },
    /// Nothing: there was nothing to send.
    Untried,
}
