//! The command line `kurir`: asks the management API, and knows nothing but HTTP.
//!
//! `settings` says which API and with which key, `api` calls it, `session` and `webhook` are the commands.
//! Exit codes: 0 it is as asked, 1 it is not, 64 bad settings.

mod api;
mod session;
mod settings;
mod webhook;

use settings::{Command, Settings};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (command, settings) = match settings::read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    match run(command, settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kurir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(command: Command, settings: Settings) -> anyhow::Result<bool> {
    let api = api::Api::new(settings)?;
    match command {
        Command::Webhook { check } => webhook::check(&api, check).await,
        Command::Status => session::status(&api).await,
        Command::Qr => session::qr(&api).await,
        Command::Send { to, text } => session::send(&api, &to, &text).await,
    }
}
