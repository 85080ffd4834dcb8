//! What a check found, in words for the operator.

use schemars::JsonSchema;
use serde::Serialize;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckArea {
    Nats,
    Services,
    Versions,
    Clocks,
    Disks,
    Streams,
    Sessions,
    Endpoints,
    DeadLetters,
    Security,
}

/// How bad it is. With a problem, messages do not flow, or are about to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    Ok,
    Warning,
    Problem,
}

/// One thing that a check found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub area: CheckArea,
    pub severity: FindingSeverity,
    /// What is the matter.
    pub message: String,
    /// What to do; null if there is nothing to do.
    pub advice: Option<String>,
}

impl Finding {
    pub fn ok(area: CheckArea, message: impl Into<String>) -> Self {
        Self { area, severity: FindingSeverity::Ok, message: message.into(), advice: None }
    }

    pub fn warning(area: CheckArea, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { area, severity: FindingSeverity::Warning, message: message.into(), advice: Some(advice.into()) }
    }

    pub fn problem(area: CheckArea, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { area, severity: FindingSeverity::Problem, message: message.into(), advice: Some(advice.into()) }
    }
}
