//! The buckets whose values hold secrets: sealed on their way into NATS, opened on their way out.

use super::{Bucket, BucketEntry, BucketError, secrets_key};
use bytes::Bytes;
use kurir_contract::{endpoint, session_record::SESSIONS_BUCKET};

/// The key that signs logins at the dashboard.
pub const LOGINS_BUCKET: &str = "dashboard_logins";
/// What holds secrets. A bucket of one of these names seals its values with the operator's `SECRETS_KEY`, if there is one.
pub const BUCKETS_OF_SECRETS: [&str; 3] = [endpoint::BUCKET, SESSIONS_BUCKET, LOGINS_BUCKET];

/// How the values of a bucket of secrets are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedCounts {
    /// As plain text.
    pub plain: usize,
    /// Sealed with a key that is not among the given ones, or moved.
    pub unopened: usize,
}

impl Bucket {
    /// Writes everything again that is not sealed with the first of the keys. Gives the number of values. One that does not
    /// open stays as it is, and so does one that another service changes meanwhile, which seals it.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Refused`; a further call goes on.
    pub async fn seal_again(&self) -> Result<usize, BucketError> {
        let Some(secrets_key) = self.broker.secrets_key().filter(|_| self.holds_secrets) else { return Ok(0) };
        let mut sealed = 0;
        for key in self.stored_entries().await?.into_keys() {
            let Some(BucketEntry { value, revision }) = self.get_stored(&key).await? else { continue };
            if !secrets_key::is_outdated(secrets_key, &value) {
                continue;
            }
            let Ok(value) = self.open_value(&key, value).inspect_err(|error| tracing::error!("{error}")) else {
                continue;
            };
            match self.update(&key, value, revision).await {
                Ok(_) => sealed += 1,
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sealed)
    }

    /// How the values are stored.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn count_sealed(&self) -> Result<SealedCounts, BucketError> {
        let mut counts = SealedCounts::default();
        for (key, value) in self.stored_entries().await? {
            counts.plain += usize::from(!secrets_key::is_sealed(&value));
            counts.unopened += usize::from(self.open_value(&key, value).is_err());
        }
        Ok(counts)
    }

    /// The value of an entry that a watch of [`Bucket::open`] gave.
    ///
    /// # Errors
    /// `Sealed`.
    pub fn open_value(&self, key: &str, stored: Bytes) -> Result<Bytes, BucketError> {
        if !self.holds_secrets {
            return Ok(stored);
        }
        secrets_key::open(self.broker.secrets_key(), &self.context(key), stored).map_err(|source| BucketError::Sealed {
            bucket: self.name,
            key: key.to_owned(),
            source,
        })
    }

    pub(super) fn seal_value(&self, key: &str, value: Bytes) -> Result<Bytes, BucketError> {
        if !self.holds_secrets {
            return Ok(value);
        }
        secrets_key::seal(self.broker.secrets_key(), &self.context(key), value)
            .map_err(|_| self.refused("the system gives no random bytes"))
    }

    /// Where a value belongs.
    fn context(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}
