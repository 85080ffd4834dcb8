//! Takes keys over that another program made, without a new pairing: from the folder of a program that uses Baileys.

use super::{
    baileys::{BaileysFolder, BaileysKeys, UnusableFolder},
    store::{AdoptionRecord, IncomingKeys, SessionStore, find_adopted},
};
use anyhow::Context as _;
use kurir_contract::{address::ChatJid, clock, session::SessionId};
use std::path::Path;

/// Keys that are ready to be installed.
pub struct StagedKeys {
    pub incoming: IncomingKeys,
    /// The account's number.
    pub account: ChatJid,
    /// What was not taken over, and why that does no harm: its keys are made anew.
    pub left_out: Vec<String>,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    #[error(transparent)]
    Unusable(#[from] UnusableFolder),
    #[error(
        "this session was taken over before, as the session {session} at {adopted_at}; two clients would end each other"
    )]
    AlreadyAdopted { session: String, adopted_at: String },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Makes keys of a folder's content. `sessions` is the folder of all sessions, `own` that of the session that gets the keys.
///
/// # Errors
/// If the folder holds no session, or one that this gateway took over before, or the disk fails.
pub async fn stage_baileys(sessions: &Path, own: &Path, folder: BaileysFolder) -> Result<StagedKeys, AdoptionError> {
    let read = tokio::task::spawn_blocking(move || BaileysKeys::read(&folder)).await;
    let keys = read.context("reading the folder panicked")??;
    if let Some((session, record)) = find_adopted(sessions, &keys.identity()) {
        return Err(AdoptionError::AlreadyAdopted { session, adopted_at: record.adopted_at });
    }
    let incoming = IncomingKeys::begin(own)?;
    let database = incoming.database().await?;
    keys.write(&database).await.context("failed to write the keys")?;
    drop(database);
    incoming.note_origin(&AdoptionRecord { identity: keys.identity(), adopted_at: clock::now_iso() })?;
    let account = keys.account();
    Ok(StagedKeys { incoming, account, left_out: keys.left_out })
}

/// Takes over the session of the program that Kurir replaces, if its folder is the folder of all sessions and this session
/// was never used.
///
/// # Errors
/// If the folder is damaged: its session is not paired anew.
pub async fn adopt_replaced_program(
    sessions: &Path,
    session: &SessionId,
    store: &SessionStore,
) -> Result<(), AdoptionError> {
    if *session != SessionId::default() || store.was_used() || !BaileysFolder::is_one(sessions) {
        return Ok(());
    }
    let folder = BaileysFolder::read(sessions)?;
    let staged = match stage_baileys(sessions, store.folder(), folder).await {
        Ok(staged) => staged,
        // Another session of this gateway has it: `default` is paired by itself.
        Err(AdoptionError::AlreadyAdopted { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    store.install(staged.incoming)?;
    tracing::info!(
        session.id = %session,
        "the session of {} was taken over from {}, which was not changed; stop the program that made it",
        staged.account,
        sessions.display()
    );
    for left_out in staged.left_out {
        tracing::warn!(session.id = %session, "not taken over: {left_out}; these keys are made anew");
    }
    Ok(())
}
