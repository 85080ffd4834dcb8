//! The id of a job. It is a module of its own, because commands and events name jobs and jobs hold commands.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `job_` and 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct JobId(String);

/// The error of a text that is no job's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no job")]
pub struct InvalidJobId(String);

impl JobId {
    /// `digits`: 32 hex digits.
    pub(crate) fn from_hex(digits: &str) -> Self {
        Self(format!("job_{digits}"))
    }

    #[must_use]
    pub fn random() -> Self {
        Self::from_hex(&format!("{:032x}", rand::random::<u128>()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(id: String) -> Result<Self, InvalidJobId> {
        let is_hex = |digits: &str| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if id.strip_prefix("job_").is_some_and(is_hex) { Ok(Self(id)) } else { Err(InvalidJobId(id)) }
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_token_of_a_subject() {
        let id = String::from(JobId::random());
        assert_eq!(JobId::try_from(id.clone()).map(String::from), Ok(id));
        for bad in
            ["", "job_", "job_1.2", "job_zz345678901234567890123456789012", "rep_12345678901234567890123456789012"]
        {
            assert!(JobId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
