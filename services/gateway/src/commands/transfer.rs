//! Keys that come from elsewhere, for a session that is not paired.

use super::{CommandServer, internal};
use crate::session::adoption::{AdoptionError, stage_export, stage_sealed_folder};
use anyhow::Context as _;
use kurir_chassis::objects::ObjectError;
use kurir_contract::{
    command::{AdoptKeys, AnswerCommand, CommandError, CommandErrorCode, KeySource, KeysAdopted, spec},
    media::MEDIA_TO_SEND_BUCKET,
};
use std::path::Path;
use tokio::{fs::File, io::AsyncWriteExt as _};

impl AnswerCommand<spec::AdoptKeys> for CommandServer {
    async fn answer(&self, request: AdoptKeys) -> Result<KeysAdopted, CommandError> {
        let own = &self.session.folder;
        let sessions = own.parent().unwrap_or(own);
        let sealed = tempfile::NamedTempFile::new_in(own).map_err(internal)?;
        self.fetch(&request.object, sealed.path()).await?;
        let opens = (sealed.path().to_owned(), request.passphrase);
        let staged = match request.source {
            KeySource::BaileysFolder => stage_sealed_folder(sessions, own, opens).await,
            KeySource::Export => stage_export(sessions, own, opens).await,
        };
        let staged = staged.map_err(refusal)?;
        match self.session.install(staged.incoming).await.map_err(internal)? {
            Ok(()) => {}
            Err(refusal) => return Err(CommandError::new(CommandErrorCode::Conflict, refusal.to_string())),
        }
        tracing::info!(session.id = %self.session.id, "the session got keys that were made elsewhere");
        for left_out in &staged.left_out {
            tracing::warn!(session.id = %self.session.id, "not taken over: {left_out}; these keys are made anew");
        }
        Ok(KeysAdopted { jid: staged.account, left_out: staged.left_out })
    }
}

impl CommandServer {
    async fn fetch(&self, object: &str, into: &Path) -> Result<(), CommandError> {
        let unread = |error: ObjectError| match error {
            ObjectError::NotFound => CommandError::invalid("the file is gone; send it again"),
            ObjectError::Unavailable(problem) => CommandError::new(CommandErrorCode::BrokerUnavailable, problem),
        };
        let mut from = self.broker.open_object(MEDIA_TO_SEND_BUCKET, object).await.map_err(unread)?;
        let mut file = File::create(into).await.map_err(internal)?;
        while let Some(chunk) = from.next_chunk().await.map_err(unread)? {
            file.write_all(&chunk).await.map_err(internal)?;
        }
        file.flush().await.context("failed to write the file").map_err(internal)
    }
}

fn refusal(error: AdoptionError) -> CommandError {
    match error {
        AdoptionError::Unusable(problem) => CommandError::invalid(problem.to_string()),
        AdoptionError::AlreadyAdopted { .. } | AdoptionError::AlreadyHere { .. } => {
            CommandError::new(CommandErrorCode::Conflict, error.to_string())
        }
        AdoptionError::Failed(error) => internal(format!("{error:#}")),
    }
}
