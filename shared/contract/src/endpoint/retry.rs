//! The retry schedule of an endpoint: the delays between attempts, as data.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// The delays after the first, second, … failure. After the last one the event becomes a dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "RetryScheduleSchema"))]
pub enum RetrySchedule {
    /// The contract's schedule: 2 s, 4 s, 8 s.
    #[default]
    Default,
    /// 2, 5, 15, 30 s, 1, 2, 5, 15 min, 1, 3, 6, 12 h: new endpoints have it.
    Patient,
    /// The user's own delays, in whole seconds.
    Own(Vec<u64>),
}

/// How a schedule is written.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(untagged, rename_all = "lowercase")]
#[expect(dead_code, reason = "it is the schema of what `TryFrom<Value>` reads")]
enum RetryScheduleSchema {
    Named(NamedRetrySchedule),
    /// The user's own delays, in whole seconds.
    Own(Vec<u64>),
}

#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is the schema of what `TryFrom<Value>` reads")]
enum NamedRetrySchedule {
    Default,
    Patient,
}

/// Why a value is no schedule. The message is the end of the sentence "retry …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRetry {
    #[error("must be \"default\", \"patient\" or a list of seconds, as [10, 60, 600]")]
    Shape,
    #[error("has {0} delays, at most {MAX_DELAYS} are possible")]
    TooMany(usize),
    #[error("has a delay of {0} s, at most {MAX_DELAY_SECONDS} (7 days) are possible")]
    TooLong(u64),
}

/// A receiver that needs more attempts is given up.
const MAX_DELAYS: usize = 50;
const MAX_DELAY_SECONDS: u64 = 7 * 24 * 60 * 60;

const CONTRACT: [u64; 3] = [2, 4, 8];
const PATIENT: [u64; 12] = [2, 5, 15, 30, 60, 120, 300, 900, 3_600, 10_800, 21_600, 43_200];

impl RetrySchedule {
    #[must_use]
    pub fn delays(&self) -> Vec<Duration> {
        let seconds = match self {
            Self::Default => &CONTRACT[..],
            Self::Patient => &PATIENT,
            Self::Own(seconds) => seconds,
        };
        seconds.iter().copied().map(Duration::from_secs).collect()
    }

    /// The time from the first attempt to the last, if each is answered at once.
    #[must_use]
    pub fn total_delay(&self) -> Duration {
        self.delays().iter().sum()
    }
}

impl TryFrom<Value> for RetrySchedule {
    type Error = InvalidRetry;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(name) if name == "default" => Ok(Self::Default),
            Value::String(name) if name == "patient" => Ok(Self::Patient),
            Value::Array(delays) => {
                if delays.len() > MAX_DELAYS {
                    return Err(InvalidRetry::TooMany(delays.len()));
                }
                let seconds: Vec<u64> =
                    delays.iter().map(|delay| delay.as_u64().ok_or(InvalidRetry::Shape)).collect::<Result<_, _>>()?;
                match seconds.iter().find(|&&delay| delay > MAX_DELAY_SECONDS) {
                    Some(&delay) => Err(InvalidRetry::TooLong(delay)),
                    None => Ok(Self::Own(seconds)),
                }
            }
            _ => Err(InvalidRetry::Shape),
        }
    }
}

impl From<RetrySchedule> for Value {
    fn from(retry: RetrySchedule) -> Self {
        match retry {
            RetrySchedule::Default => "default".into(),
            RetrySchedule::Patient => "patient".into(),
            RetrySchedule::Own(seconds) => seconds.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schedule_is_a_name_or_a_list_of_seconds() {
        for (value, expected) in [
            (json!("default"), Ok(RetrySchedule::Default)),
            (json!("patient"), Ok(RetrySchedule::Patient)),
            (json!([]), Ok(RetrySchedule::Own(vec![]))),
            (json!([10, 60]), Ok(RetrySchedule::Own(vec![10, 60]))),
            (json!("never"), Err(InvalidRetry::Shape)),
            (json!([1.5]), Err(InvalidRetry::Shape)),
            (json!([-1]), Err(InvalidRetry::Shape)),
            (json!(null), Err(InvalidRetry::Shape)),
            (json!([604_801]), Err(InvalidRetry::TooLong(604_801))),
            (json!(vec![1; 51]), Err(InvalidRetry::TooMany(51))),
        ] {
            let read = RetrySchedule::try_from(value.clone());
            assert_eq!(read, expected, "{value}");
            if let Ok(retry) = read {
                assert_eq!(Value::from(retry), value);
            }
        }
        assert_eq!(RetrySchedule::Default.total_delay(), Duration::from_secs(14));
    }
}
