//! Takes keys over that were made elsewhere, without a new pairing: from the folder of a program that uses Baileys, or from
//! an exported session.

use super::{
    baileys::{BaileysFolder, BaileysKeys, UnusableFolder},
    store::{AdoptionRecord, IncomingKeys, SESSION_FILES, SessionStore, find_adopted, find_paired},
};
use crate::inbound::addresses::chat_jid;
use anyhow::Context as _;
use kurir_chassis::{sealed_file::OpeningReader, session_archive::unpack_archive};
use kurir_contract::{address::ChatJid, clock, session::SessionId};
use std::{
    fs::File,
    io::{BufReader, ErrorKind},
    path::{Path, PathBuf},
};

/// Keys that are ready to be installed.
pub struct StagedKeys {
    pub incoming: IncomingKeys,
    /// The account's number.
    pub account: ChatJid,
    /// What was not taken over, and why that does no harm: its keys are made again.
    pub left_out: Vec<String>,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    #[error(transparent)]
    Unusable(#[from] UnusableFolder),
    #[error("the session {session} has these keys already; two clients with the same keys would end each other")]
    AlreadyHere { session: String },
    #[error("this session was taken over before, as the session {session} at {adopted_at}; pair anew instead")]
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
    refuse_twins(sessions, &keys.device())?;
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

/// Makes keys of a sealed tar file of a Baileys folder. As [`stage_baileys`].
///
/// # Errors
/// As [`stage_baileys`], and if the passphrase is another one.
pub async fn stage_sealed_folder(
    sessions: &Path,
    own: &Path,
    (sealed, passphrase): (PathBuf, String),
) -> Result<StagedKeys, AdoptionError> {
    let read = tokio::task::spawn_blocking(move || {
        let sealed = OpeningReader::new(&passphrase, BufReader::new(File::open(&sealed).map_err(unreadable)?));
        Ok::<_, AdoptionError>(BaileysFolder::from_tar(sealed.map_err(unreadable)?)?)
    });
    stage_baileys(sessions, own, read.await.context("reading the folder panicked")??).await
}

/// Makes keys of an exported session.
///
/// # Errors
/// If it does not open, or holds no keys.
pub async fn stage_export(
    sessions: &Path,
    own: &Path,
    (sealed, passphrase): (PathBuf, String),
) -> Result<StagedKeys, AdoptionError> {
    let incoming = IncomingKeys::begin(own)?;
    let folder = incoming.folder().to_owned();
    let unpacked = tokio::task::spawn_blocking(move || {
        let sealed = BufReader::new(File::open(&sealed)?);
        unpack_archive(&passphrase, sealed, &SESSION_FILES, &folder)
    });
    unpacked.await.context("unpacking the session panicked")?.map_err(unreadable)?;
    let account = incoming.account().await?;
    let account = account.ok_or_else(|| UnusableFolder::new("the exported session", "was never paired"))?;
    refuse_twins(sessions, &account.to_string())?;
    Ok(StagedKeys { incoming, account: chat_jid(&account), left_out: Vec::new() })
}

/// Refuses keys that another session of this gateway has.
fn refuse_twins(sessions: &Path, device: &str) -> Result<(), AdoptionError> {
    find_paired(sessions, device).map_or(Ok(()), |session| Err(AdoptionError::AlreadyHere { session }))
}

fn unreadable(error: std::io::Error) -> AdoptionError {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            AdoptionError::Unusable(UnusableFolder::new("the file", format!("cannot be read: {error}")))
        }
        _ => AdoptionError::Failed(error.into()),
    }
}

/// Takes over the session of the program that Kurir replaces, if its folder is the folder of all sessions and this session
/// was never used.
///
/// # Errors
/// If the folder is damaged: its session is not paired again.
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
        Err(AdoptionError::AlreadyAdopted { .. } | AdoptionError::AlreadyHere { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    store.install(staged.incoming)?;
    store.note_replaced().await?;
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
