//! The services of Kurir, and how each answers a ping.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A service of Kurir.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ServiceName {
    Gateway,
    WebhookDispatcher,
    Api,
}

impl ServiceName {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::WebhookDispatcher => "webhook-dispatcher",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to a ping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PingReply {
    pub service: ServiceName,
    /// A random name of the process.
    pub instance: String,
    pub version: String,
    pub ready: bool,
    pub uptime_seconds: u64,
    /// Why the service is not ready although it runs; none if nothing is known to be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What an operator should know: what vanished from NATS, each with its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// How far the clock of its machine was ahead of NATS', in milliseconds; none before it has read NATS' clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// The disks on which it keeps something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskSpace>,
}

/// How much room there is on the disk of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiskSpace {
    /// The folder, as the settings name it.
    pub path: String,
    pub free_bytes: u64,
    pub total_bytes: u64,
}
