//! The command line `kurir`: it calls the API over HTTP.
//!
//! `commands` lists what a user can type, `settings` reads it and says where the API is, `api_client` calls it, `session`, `sessions`, `jobs`,
//! `webhook_checks`, `history`, `recovery`, `live`, `access` and `doctor` are the commands, `table` and `progress` print.
//! `receive`, `check_ready` and `help_files` need no API: an example receiver, the
//! health check of the images, completions and the manual.
//! Exit codes: 0 yes or done, 1 no or failed, 64 bad settings.

mod access;
mod api_client;
mod check_ready;
mod commands;
mod doctor;
mod help_files;
mod history;
mod jobs;
mod live;
mod progress;
mod receive;
mod recovery;
mod session;
mod session_files;
mod sessions;
mod settings;
mod table;
mod webhook_checks;

use commands::{ApiCommand, IndexCommand, LocalCommand, StreamFilter};
use settings::{ApiSettings, CliRequest};
use std::process::ExitCode;

fn main() -> ExitCode {
    let request = match settings::read_request() {
        Ok(request) => request,
        Err(code) => return code,
    };
    match run(request) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kurir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(request: CliRequest) -> anyhow::Result<bool> {
    match request {
        CliRequest::Api(command, settings, as_json) => run_api_command(*command, settings, as_json).await,
        CliRequest::Local(LocalCommand::Ready { readyz }) => check_ready::check_ready(readyz).await,
        CliRequest::Local(LocalCommand::Receive { listen }) => receive::run_receiver(listen).await,
        CliRequest::Local(LocalCommand::Completions { shell }) => help_files::print_completions(shell),
        CliRequest::Local(LocalCommand::Man { folder }) => help_files::write_manual(&folder),
    }
}

async fn run_api_command(command: ApiCommand, settings: ApiSettings, as_json: bool) -> anyhow::Result<bool> {
    let api = api_client::ApiClient::new(settings)?;
    match command {
        ApiCommand::Webhook { check } => webhook_checks::run_checks(&api, check).await,
        ApiCommand::Status { session } => session::show_status(&api, &session).await,
        ApiCommand::Qr { session } => session::show_qr_code(&api, &session).await,
        ApiCommand::Sessions { command } => sessions::run_session_command(&api, command, as_json).await,
        ApiCommand::Send { to, text, file, kind, session } => match file {
            Some(file) => session::send_file(&api, &session, &to, (&file, kind, text.as_deref())).await,
            None => session::send_text(&api, &session, &to, text.as_deref().unwrap_or_default()).await,
        },
        ApiCommand::Jobs { command, session } => jobs::run_job_command(&api, &session, command, as_json).await,
        ApiCommand::DeadLetters { endpoint, limit } => {
            let query = query(&[("limit", Some(limit.to_string())), ("endpoint", endpoint)]);
            recovery::list_dead_letters(&api, &query, as_json).await
        }
        ApiCommand::Replay { command, no_wait } => recovery::run_replay_command(&api, command, !no_wait, as_json).await,
        ApiCommand::Ledger { endpoint, from, to } => {
            let query = query(&[("endpoint", Some(endpoint)), ("from", from), ("to", to)]);
            recovery::show_ledger(&api, &query, as_json).await
        }
        ApiCommand::Life { id } => history::show_life(&api, &id, as_json).await,
        ApiCommand::Tail { filter } => live::tail(&api, &stream_query(filter), as_json).await,
        ApiCommand::Listen { to, secret, filter } => {
            live::listen(&api, &to, &stream_query(filter), secret.as_deref()).await
        }
        ApiCommand::Deliveries { endpoint, outcome, status, chat, limit } => {
            let query = query(&[
                ("limit", Some(limit.to_string())),
                ("endpoint", endpoint),
                ("outcome", outcome),
                ("status", status.map(|status| status.to_string())),
                ("chat", chat),
            ]);
            history::list_deliveries(&api, &query, as_json).await
        }
        ApiCommand::Chats { chat, limit } => history::list_chats(&api, chat.as_deref(), limit, as_json).await,
        ApiCommand::Endpoints => access::list_endpoints(&api, as_json).await,
        ApiCommand::Doctor => doctor::examine(&api, as_json).await,
        ApiCommand::Keys { command } => access::run_key_command(&api, command, as_json).await,
        ApiCommand::Index { command: IndexCommand::Rebuild } => history::rebuild_index(&api).await,
    }
}

fn stream_query(filter: StreamFilter) -> String {
    let StreamFilter { session, types, chat, after } = filter;
    query(&[("session", session), ("type", types), ("chat", chat), ("after", after.map(|after| after.to_string()))])
}

/// The values that are given, as the query of a URL.
fn query(values: &[(&str, Option<String>)]) -> String {
    let given = values.iter().filter_map(|(name, value)| Some(format!("{name}={}", history::escape(value.as_ref()?))));
    given.collect::<Vec<_>>().join("&")
}
