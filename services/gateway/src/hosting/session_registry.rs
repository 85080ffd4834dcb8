//! The records of all sessions, in the bucket `sessions`, and which of them this gateway may run.
//!
//! The keys of a session are in a folder on this machine, so a session that a gateway has taken stays with that folder; or they are
//! in NATS, and each gateway may run it.

use crate::session::{journal::SessionJournal, session_holder::SessionHolder};
use anyhow::Context as _;
use kurir_chassis::{broker::Broker, bucket::Bucket, key_ring::KeyRing};
use kurir_contract::{
    session::{SESSION_HOLDERS_BUCKET, SessionId},
    session_record::{DesiredState, SESSIONS_BUCKET, SessionRecord},
    stream, subject,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A file in the folder of all sessions. No session is called so, since a dot is in no session's id.
const HOME_FILE: &str = ".kurir-home";

#[derive(Clone)]
pub struct SessionRegistry {
    broker: Broker,
    records: Bucket,
    holders: Bucket,
    sessions: PathBuf,
    home: String,
    /// Seal the sessions' keys in NATS; none if they are in the folder.
    journal_keys: Option<KeyRing>,
}

impl SessionRegistry {
    /// `lasting` is the operator's folder, which gets an id of its own, and `sessions` the folder of all sessions of this
    /// gateway: the same one, or scratch.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn open(
        broker: &Broker,
        (lasting, sessions): (&Path, &Path),
        journal_keys: Option<&KeyRing>,
    ) -> anyhow::Result<Self> {
        let home = read_home(lasting)
            .with_context(|| format!("failed to use {} (WHATSAPP_SESSION_PATH)", lasting.display()))?;
        Ok(Self {
            broker: broker.clone(),
            records: Bucket::new(broker.clone(), SESSIONS_BUCKET),
            holders: Bucket::new(broker.clone(), SESSION_HOLDERS_BUCKET),
            sessions: sessions.to_owned(),
            home,
            journal_keys: journal_keys.cloned(),
        })
    }

    /// All records, with that of `default`. One that cannot be read is as it was in `known`, and is not there if it was not
    /// known: without its record a session might run without its proxy.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read(
        &self,
        known: &BTreeMap<SessionId, SessionRecord>,
    ) -> anyhow::Result<BTreeMap<SessionId, SessionRecord>> {
        let mut records = BTreeMap::from([(SessionId::default(), SessionRecord::default())]);
        for (key, value) in self.records.entries().await? {
            let Ok(id) = key.parse::<SessionId>() else { continue };
            match serde_json::from_slice(&value) {
                Ok(record) => {
                    records.insert(id, record);
                }
                Err(error) => {
                    tracing::error!(
                        session.id = %id,
                        "the record of the session {id} cannot be read: it stays as it was, or does not start: {error}"
                    );
                    match known.get(&id) {
                        Some(record) => records.insert(id, record.clone()),
                        None => records.remove(&id),
                    };
                }
            }
        }
        Ok(records)
    }

    /// Whether the keys of this session are in this gateway's folder, in NATS, or nowhere yet: not in another gateway's folder.
    #[must_use]
    pub fn may_run(&self, record: &SessionRecord) -> bool {
        record.home.as_ref().is_none_or(|home| *home == self.home)
    }

    /// Whether the session has been taken by this gateway before.
    #[must_use]
    pub fn is_home(&self, record: &SessionRecord) -> bool {
        record.home.as_ref() == Some(&self.home)
    }

    /// Whether the keys of sessions are in NATS, so that each gateway may run each session.
    #[must_use]
    pub fn is_in_nats(&self) -> bool {
        self.journal_keys.is_some()
    }

    /// The gateway that holds each session, by the record in NATS.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn holders(&self) -> anyhow::Result<BTreeMap<SessionId, String>> {
        let entries = self.holders.entries().await?;
        let holders = entries.into_iter().filter_map(|(key, value)| {
            let holder = serde_json::from_slice::<SessionHolder>(&value).ok()?;
            Some((key.parse().ok()?, holder.gateway))
        });
        Ok(holders.collect())
    }

    /// Records that the keys of the session are in this gateway's folder, or that they are in NATS.
    ///
    /// # Errors
    /// If NATS does not store it.
    pub async fn take_home(&self, session: &SessionId) -> anyhow::Result<()> {
        let home = (!self.is_in_nats()).then(|| self.home.clone());
        let take = |record: Option<SessionRecord>| {
            // What was in this folder may have gone to NATS with the session.
            let is_free = |record: &SessionRecord| record.home.is_none() || self.is_in_nats();
            let record = record.filter(|record| is_free(record) && record.desired != DesiredState::Deleted)?;
            (record.home != home).then(|| SessionRecord { home: home.clone(), ..record })
        };
        self.records.change_value(session.as_str(), take).await?;
        Ok(())
    }

    /// Wipes the keys of a deleted session and its jobs, then its record.
    ///
    /// # Errors
    /// If the folder or the record cannot be removed; the next attempt goes on.
    pub async fn remove(&self, session: &SessionId) -> anyhow::Result<()> {
        let folder = self.sessions.join(session.as_str());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to remove {}", folder.display()));
            }
            Ok(()) | Err(_) => {}
        }
        if let Some(keys) = &self.journal_keys {
            SessionJournal::remove(&self.broker, keys, session).await?;
        }
        let outbox = self.broker.jetstream.get_stream(stream::OUTBOX).await?;
        for jobs in subject::jobs_of(session) {
            outbox.purge().filter(jobs).await?;
        }
        self.holders.purge(session.as_str()).await?;
        self.records.purge(session.as_str()).await?;
        Ok(())
    }
}

fn read_home(sessions: &Path) -> std::io::Result<String> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(sessions)?;
    let file = sessions.join(HOME_FILE);
    if let Ok(home) = fs::read_to_string(&file)
        && !home.trim().is_empty()
    {
        return Ok(home.trim().to_owned());
    }
    let home = hex::encode(rand::random::<[u8; 8]>());
    fs::write(&file, &home)?;
    Ok(home)
}
