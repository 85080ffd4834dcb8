//! A webhook endpoint's id. It is a module of its own, because events and subjects name endpoints and endpoints use both.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// 1 to 64 characters of `[A-Za-z0-9_-]`: it is a part of subjects and of consumer names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EndpointId(String);

const RETRIES_SUFFIX: &str = "-retries";

/// The error of a text that is no endpoint's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no endpoint id: use 1 to 64 letters, digits, '-' or '_'")]
pub struct InvalidEndpointId(String);

impl EndpointId {
    /// The endpoint of `WEBHOOK_URL`.
    pub const DEFAULT: &str = "default";

    /// The id of a new endpoint. No id is used twice, so a new endpoint inherits nothing from a deleted one.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("ep_{:032x}", rand::random::<u128>()))
    }

    /// Whether it is the endpoint of `WEBHOOK_URL`: it is not in the bucket, and the API cannot change it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The inverse of [`consumer_name`](Self::consumer_name) and of [`retries_consumer_name`](Self::retries_consumer_name).
    #[must_use]
    pub fn from_consumer_name(name: &str) -> Option<Self> {
        let id = name.strip_prefix("webhook-")?;
        id.strip_suffix(RETRIES_SUFFIX).unwrap_or(id).parse().ok()
    }

    /// The name of its durable consumer on EVENTS: `num_pending` is its backlog.
    #[must_use]
    pub fn consumer_name(&self) -> String {
        format!("webhook-{self}")
    }

    /// The name of its durable consumer on RETRIES.
    #[must_use]
    pub fn retries_consumer_name(&self) -> String {
        format!("webhook-{self}{RETRIES_SUFFIX}")
    }
}

impl Default for EndpointId {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for EndpointId {
    type Err = InvalidEndpointId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        // The rule is that of a session's name: both are tokens of a subject.
        match id.parse::<crate::session::SessionId>() {
            Ok(_) => Ok(Self(id.to_owned())),
            Err(_) => Err(InvalidEndpointId(id.to_owned())),
        }
    }
}

impl TryFrom<String> for EndpointId {
    type Error = InvalidEndpointId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<EndpointId> for String {
    fn from(id: EndpointId) -> Self {
        id.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumers_name_names_its_endpoint() {
        let id = EndpointId::random();
        assert_eq!(EndpointId::from_consumer_name(&id.consumer_name()), Some(id.clone()));
        assert_eq!(EndpointId::from_consumer_name(&id.retries_consumer_name()), Some(id));
        assert_eq!(EndpointId::from_consumer_name("n8n"), None);
    }
}
