//! Which gateway holds a session: the record in the bucket `session_holders`. `hosting` writes it.

use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError},
};
use kurir_contract::{
    clock,
    session::{SESSION_HOLDERS_BUCKET, SessionId},
};
use serde::{Deserialize, Serialize};
use std::fs;

const EXPORT: &str = "export by ";

/// Who holds a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionHolder {
    /// The name of the process.
    pub gateway: String,
    pub host: String,
    /// The folder with the session's keys, as [`crate::session::lease::FolderLease::identity`] names it.
    pub folder: String,
    /// The time of the claim, in ISO 8601.
    pub since: String,
}

impl SessionHolder {
    #[must_use]
    pub fn new(gateway: &str, folder: String) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Self { gateway: gateway.to_owned(), host, folder, since: clock::iso(clock::now()) }
    }

    /// For a stopped session whose keys are exported: a folder that no gateway names.
    #[must_use]
    pub fn for_export(gateway: &str) -> Self {
        Self::new(gateway, format!("{EXPORT}{gateway}"))
    }

    /// Whether the session does not run, and its keys are exported.
    #[must_use]
    pub fn is_export(&self) -> bool {
        self.folder.starts_with(EXPORT)
    }
}

/// Asks NATS who holds a session.
#[derive(Clone)]
pub struct HolderLookup {
    holders: Bucket,
    session: SessionId,
    gateway: String,
}

impl HolderLookup {
    /// `gateway` is this one.
    #[must_use]
    pub fn new(broker: Broker, session: SessionId, gateway: &str) -> Self {
        Self { holders: Bucket::new(broker, SESSION_HOLDERS_BUCKET), session, gateway: gateway.to_owned() }
    }

    /// The name of this gateway.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Whether the record names another gateway.
    ///
    /// # Errors
    /// If NATS does not say.
    pub async fn is_elsewhere(&self) -> Result<bool, BucketError> {
        let stored = self.holders.get_json::<SessionHolder>(self.session.as_str()).await?;
        Ok(stored.is_some_and(|(holder, _)| holder.gateway != self.gateway))
    }
}
