//! What a delivery tells the worker when its message is settled.

/// How one delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryResult {
    pub verdict: EndpointVerdict,
    /// Whether it was a probe.
    pub probe: bool,
    /// Whether RETRIES holds a next attempt.
    pub retry_stored: bool,
}

/// What the delivery says about the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointVerdict {
    Succeeded,
    Failed {
        /// In words, without the URL.
        reason: String,
    },
    /// The receiver said that it is gone for good.
    Gone {
        reason: String,
    },
    /// Nothing: there was nothing to send.
    Untried,
}
