//! Logins to refuse: with a `<failure>` or a `<stream:error>`, so many times or for so long.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wacore_binary::{Node, builder::NodeBuilder};

use crate::phone_number::PhoneNumber;

/// Refusals that wait for a login; a test sets one or two.
pub const MAX_REFUSALS: usize = 1_000;

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// `<failure reason=…>`, with the reason's details of a temporary ban.
    Failure {
        reason: u16,
        code: Option<String>,
        expire: Option<u64>,
    },
    StreamError(StreamError),
    /// The socket closes without a word.
    Closed,
}

/// A `<stream:error>` by its code or by its conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "serde_json::Value")]
#[schemars(with = "serde_json::Value", description = "A number, `replaced`, `device_removed` or `xmlstreamend`.")]
pub enum StreamError {
    Code(u16),
    Conflict(String),
    /// `<xmlstreamend/>`
    End,
}

impl TryFrom<serde_json::Value> for StreamError {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        match &value {
            serde_json::Value::Number(code) => code
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (100..1000).contains(code))
                .map(Self::Code)
                .ok_or_else(|| format!("{code} is no code of a stream error")),
            serde_json::Value::String(name) => match name.as_str() {
                "replaced" | "device_removed" => Ok(Self::Conflict(name.clone())),
                "xmlstreamend" => Ok(Self::End),
                other => Err(format!(
                    "{other:?} is no stream error: a number, \"replaced\", \"device_removed\" or \"xmlstreamend\""
                )),
            },
            other => Err(format!("{other} is no stream error: a number or a name")),
        }
    }
}

impl ConnectionEnd {
    /// What is written before the socket closes.
    pub fn node(&self) -> Option<Node> {
        match self {
            Self::Failure { reason, code, expire } => {
                let mut node = NodeBuilder::new("failure").attr("reason", reason.to_string());
                if let Some(code) = code {
                    node = node.attr("code", code.as_str());
                }
                if let Some(expire) = expire {
                    node = node.attr("expire", expire.to_string());
                }
                Some(node.build())
            }
            Self::StreamError(StreamError::Code(code)) => {
                Some(NodeBuilder::new("stream:error").attr("code", code.to_string()).build())
            }
            Self::StreamError(StreamError::Conflict(kind)) => {
                let mut node = NodeBuilder::new("stream:error");
                if kind == "device_removed" {
                    node = node.attr("code", "401");
                }
                Some(node.children([NodeBuilder::new("conflict").attr("type", kind.as_str()).build()]).build())
            }
            Self::StreamError(StreamError::End) => Some(NodeBuilder::new("xmlstreamend").build()),
            Self::Closed => None,
        }
    }
}

#[derive(Debug)]
struct LoginRefusal {
    number: Option<PhoneNumber>,
    ending: ConnectionEnd,
    times: Option<u32>,
    until: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct LoginRefusals(Vec<LoginRefusal>);

impl LoginRefusals {
    /// Without a number of times and a duration: once.
    pub fn add(
        &mut self,
        number: Option<PhoneNumber>,
        ending: ConnectionEnd,
        times: Option<u32>,
        lasting: Option<Duration>,
    ) {
        let times = times.or(lasting.is_none().then_some(1));
        self.0.push(LoginRefusal { number, ending, times, until: lasting.map(|lasting| Instant::now() + lasting) });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How to refuse this login, if it is to be refused. `number` is none while a client pairs.
    pub fn for_login(&mut self, number: Option<&PhoneNumber>) -> Option<ConnectionEnd> {
        let now = Instant::now();
        self.0.retain(|refusal| refusal.times != Some(0) && refusal.until.is_none_or(|until| now < until));
        let refusal =
            self.0.iter_mut().find(|refusal| refusal.number.as_ref().is_none_or(|wanted| Some(wanted) == number))?;
        if let Some(times) = &mut refusal.times {
            *times -= 1;
        }
        Some(refusal.ending.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_device_is_told_401() {
        let removed = ConnectionEnd::StreamError(StreamError::Conflict("device_removed".to_owned())).node().unwrap();
        assert_eq!(removed.attrs.get("code").map(|code| code.as_str().into_owned()).as_deref(), Some("401"));
    }

    #[test]
    fn a_refusal_without_a_bound_holds_once() {
        let mut refusals = LoginRefusals::default();
        let ending = ConnectionEnd::StreamError(StreamError::Code(503));
        refusals.add(None, ending.clone(), None, None);
        assert_eq!(refusals.for_login(None), Some(ending));
        assert_eq!(refusals.for_login(None), None);
    }

    #[test]
    fn a_refusal_of_one_number_spares_the_others() {
        let mut refusals = LoginRefusals::default();
        let (one, other): (PhoneNumber, PhoneNumber) = ("15550100001".parse().unwrap(), "15550100002".parse().unwrap());
        refusals.add(Some(one.clone()), ConnectionEnd::Closed, Some(2), None);
        assert_eq!(refusals.for_login(Some(&other)), None);
        assert_eq!(refusals.for_login(None), None);
        assert_eq!(refusals.for_login(Some(&one)), Some(ConnectionEnd::Closed));
        assert_eq!(refusals.for_login(Some(&one)), Some(ConnectionEnd::Closed));
        assert_eq!(refusals.for_login(Some(&one)), None);
    }
}
