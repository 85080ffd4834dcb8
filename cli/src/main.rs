//! The command line `kurir`: it calls the API over HTTP.
//!
//! `settings` parses the command and says where the API is, `api_client` calls it, `session` and `webhook_checks` are the
//! commands. `receive` and `check_ready` need no API: an example receiver, and the health check of the images.
//! Exit codes: 0 yes or done, 1 no or failed, 64 bad settings.

mod api_client;
mod check_ready;
mod receive;
mod session;
mod settings;
mod webhook_checks;

use settings::{ApiCommand, ApiSettings, CliRequest, LocalCommand};
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
        CliRequest::Api(command, settings) => run_api_command(command, settings).await,
        CliRequest::Local(LocalCommand::Ready { readyz }) => check_ready::check_ready(readyz).await,
        CliRequest::Local(LocalCommand::Receive { listen }) => receive::run_receiver(listen).await,
    }
}

async fn run_api_command(command: ApiCommand, settings: ApiSettings) -> anyhow::Result<bool> {
    let api = api_client::ApiClient::new(settings)?;
    match command {
        ApiCommand::Webhook { check } => webhook_checks::run_checks(&api, check).await,
        ApiCommand::Status => session::show_status(&api).await,
        ApiCommand::Qr => session::show_qr_code(&api).await,
        ApiCommand::Send { to, text } => session::send_text(&api, &to, &text).await,
    }
}
