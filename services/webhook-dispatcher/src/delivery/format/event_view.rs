//! What a format reads, and what it writes.

use crate::delivery::format::fields::{JsonFields, iso_milliseconds};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// The content type of JSON bodies.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an endpoint receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderedEvent {
    Body {
        body: Bytes,
        content_type: HeaderValue,
        /// Besides those that every request has.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// The format has no counterpart for this event: it is not sent, and counted.
    NoCounterpart,
}

/// What the mappings to another gateway's events read.
pub struct EventView<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    pub session: &'a str,
    pub public_url: Option<&'a str>,
    /// When the event was made, from its envelope.
    pub timestamp: &'a str,
    pub data: JsonFields<'a>,
}

impl EventView<'_> {
    /// A link that others can use: Kurir's own links start with a slash.
    pub fn link(&self, path: &str) -> String {
        match self.public_url {
            Some(url) if path.starts_with('/') => format!("{}{path}", url.trim_end_matches('/')),
            Some(_) | None => path.to_owned(),
        }
    }

    /// When the event was made, in seconds since 1970; 0 if the event does not say.
    pub fn seconds(&self) -> i64 {
        self.milliseconds().div_euclid(1000)
    }

    pub fn milliseconds(&self) -> i64 {
        iso_milliseconds(self.timestamp).unwrap_or_default()
    }
}

impl RenderedEvent {
    pub fn json(body: Bytes) -> Self {
        Self::Body { body, content_type: JSON, headers: Vec::new() }
    }
}
