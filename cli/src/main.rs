//! The command line `kurir`: asks the management API, and knows nothing but HTTP.
//!
//! `settings` says which API and with which key, `api` calls it, `session` and `webhook` are the commands. `receive` and
//! `ready` need no API: an example receiver, and the health check of the images.
//! Exit codes: 0 it is as asked, 1 it is not, 64 bad settings.

mod api;
mod ready;
mod receive;
mod session;
mod settings;
mod webhook;

use settings::{Alone, Asked, Command, Settings};
use std::process::ExitCode;

fn main() -> ExitCode {
    let asked = match settings::read() {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    match run(asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kurir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(asked: Asked) -> anyhow::Result<bool> {
    match asked {
        Asked::OfApi(command, settings) => ask(command, settings).await,
        Asked::Alone(Alone::Ready { readyz }) => ready::ready(readyz).await,
        Asked::Alone(Alone::Receive { listen }) => receive::receive(listen).await,
    }
}

async fn ask(command: Command, settings: Settings) -> anyhow::Result<bool> {
    let api = api::Api::new(settings)?;
    match command {
        Command::Webhook { check } => webhook::check(&api, check).await,
        Command::Status => session::status(&api).await,
        Command::Qr => session::qr(&api).await,
        Command::Send { to, text } => session::send(&api, &to, &text).await,
    }
}
