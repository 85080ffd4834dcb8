//! Hands out the keys of a stopped session, sealed with a passphrase: every gateway is asked, and the one that has them
//! answers.
//!
//! The session's folder is locked meanwhile, so that the session cannot start.

use super::{GatewayLease, SessionClaim, session_claim::release_export, session_registry::SessionRegistry};
use crate::session::{
    journal::SessionJournal,
    session_holder::SessionHolder,
    store::{SESSION_FILES, SessionStore},
};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use kurir_chassis::{
    broker::Broker,
    key_ring::KeyRing,
    objects::ObjectHead,
    session_archive::{ArchiveKey, ArchiveManifest, write_archive},
    shutdown::CancellationToken,
};
use kurir_contract::{
    clock,
    command::{CommandError, CommandErrorCode, ExportKeys, ExportReply},
    media::{MEDIA_TO_SEND_BUCKET, MEDIA_TO_SEND_LASTS, new_object_name},
    session::SessionId,
    session_record::{DesiredState, SessionRecord},
    subject,
};
use std::{collections::BTreeMap, io::BufWriter, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// A session that was just stopped leaves WhatsApp within this time.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The type of the sealed file.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Answers requests for keys.
pub struct KeyExporter {
    pub broker: Broker,
    pub registry: SessionRegistry,
    /// The folder of all sessions.
    pub sessions: PathBuf,
    /// Seal the sessions' keys in NATS; none if they are in the folder.
    pub journal_keys: Option<KeyRing>,
    pub lease: GatewayLease,
}

impl KeyExporter {
    /// Answers one request after the other, until the shutdown.
    ///
    /// # Errors
    /// If the subscription fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let requests = self.broker.client.subscribe(subject::EXPORT_KEYS).await;
        let mut requests = requests.context("failed to subscribe to requests for keys")?;
        loop {
            let request = shutdown.run_until_cancelled(requests.next()).await;
            let Some(Some(request)) = request else { return Ok(()) };
            if subject::is_request(request.reply.as_deref()) {
                self.answer(&request).await;
            }
        }
    }

    async fn answer(&self, request: &Message) {
        let Ok(asked) = serde_json::from_slice::<ExportKeys>(&request.payload) else { return };
        let record = match self.registry.read(&BTreeMap::default()).await {
            Ok(mut records) => records.remove(&asked.session),
            Err(error) => return tracing::warn!("a request for keys was not answered: {error:#}"),
        };
        let session = asked.session.clone();
        let is_mine = |record: &SessionRecord| {
            self.journal_keys.is_some()
                || (self.registry.may_run(record) && self.sessions.join(session.as_str()).is_dir())
        };
        let Some(record) = record.filter(is_mine) else { return };
        // Of the gateways that can read the keys in NATS, the one that claims the session answers.
        let is_claimed = self.journal_keys.is_some();
        if is_claimed && record.desired == DesiredState::Stopped && !self.claim(&session).await {
            return;
        }
        self.reply(request, &ExportReply::Begun).await;
        let exported = self.export(asked, record).await;
        if is_claimed {
            release_export(self.broker.clone(), &session, self.lease.gateway()).await;
        }
        let reply = match exported {
            Ok(object) => {
                tracing::info!(session.id = %session, "the keys of the session {session} were exported");
                ExportReply::Stored(object)
            }
            Err(error) => ExportReply::Failed(error),
        };
        self.reply(request, &reply).await;
    }

    async fn export(&self, asked: ExportKeys, record: SessionRecord) -> Result<String, CommandError> {
        let conflict = |text: &str| CommandError::new(CommandErrorCode::Conflict, text);
        if record.desired != DesiredState::Stopped {
            return Err(conflict("the session is to run: stop it first"));
        }
        let deadline = Instant::now() + STOPPED_WITHIN;
        let store = loop {
            match SessionStore::open(&self.sessions, &asked.session) {
                Ok(store) => break store,
                Err(_) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Err(_) => return Err(conflict("the session has not stopped yet; ask again in a moment")),
            }
        };
        if let Some(keys) = &self.journal_keys {
            let journal =
                SessionJournal::new(&self.broker, keys, &asked.session, (store.folder(), None), STOPPED_WITHIN);
            journal.restore().await.map_err(|error| {
                CommandError::new(CommandErrorCode::Internal, format!("the session was not read from NATS: {error:#}"))
            })?;
        }
        if !store.is_paired() {
            return Err(conflict("the session is not paired, so there is nothing to export"));
        }
        let manifest = ArchiveManifest {
            name: record.name,
            metadata: record.metadata,
            settings: record.settings,
            ..ArchiveManifest::new(asked.session, clock::now_iso())
        };
        self.store_archive(store, manifest, asked.passphrase).await.map_err(|error| {
            tracing::error!("the keys of a session were not exported: {error:#}");
            CommandError::new(CommandErrorCode::Internal, format!("the keys were not exported: {error:#}"))
        })
    }

    /// Claims a stopped session; false if another gateway does so.
    async fn claim(&self, session: &SessionId) -> bool {
        let holder = SessionHolder::for_export(self.lease.gateway());
        let mut claim = SessionClaim::new(self.broker.clone(), session.clone(), holder, self.lease.clone());
        matches!(timeout(STOPPED_WITHIN, claim.acquire()).await, Ok(Ok(())))
    }

    async fn store_archive(
        &self,
        store: SessionStore,
        manifest: ArchiveManifest,
        passphrase: String,
    ) -> anyhow::Result<String> {
        // On the disk of the sessions, which is as private as they are.
        let folder = tempfile::tempdir_in(store.folder())?;
        let sealed = folder.path().join("sealed");
        let is_scratch = self.journal_keys.is_some();
        let written = {
            let (sealed, folder) = (sealed.clone(), folder.path().to_owned());
            tokio::task::spawn_blocking(move || {
                store.copy_to(&folder)?;
                let into = BufWriter::new(std::fs::File::create(sealed)?);
                if is_scratch {
                    // Nobody needs keys that are old soon.
                    store.wipe()?;
                }
                write_archive(ArchiveKey::Passphrase(&passphrase), &manifest, (&folder, &SESSION_FILES), into)?;
                anyhow::Ok(())
            })
        };
        written.await.context("writing the archive panicked")??;
        let object = new_object_name();
        let head = ObjectHead { name: &object, content_type: CONTENT_TYPE, sender_name: None };
        let mut file = tokio::fs::File::open(&sealed).await?;
        self.broker.put_object(MEDIA_TO_SEND_BUCKET, head, MEDIA_TO_SEND_LASTS, &mut file).await?;
        Ok(object)
    }

    async fn reply(&self, request: &Message, reply: &ExportReply) {
        let Some(to) = request.reply.clone() else { return };
        let body = serde_json::to_vec(reply).unwrap_or_default();
        if let Err(error) = self.broker.client.publish(to, body.into()).await {
            tracing::warn!("a request for keys was not answered: {error}");
        }
    }
}
