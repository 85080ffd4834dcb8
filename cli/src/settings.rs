//! What the user typed, and where the API is: flags, the environment, `.env` (the environment wins).

use clap::{Parser, Subcommand, ValueEnum};
use reqwest::Url;
use std::{net::SocketAddr, process::ExitCode};

/// Exit code for settings that cannot work, as the services have it.
const BAD_SETTINGS: u8 = 64;

/// Asks the management API of Kurir. Exit codes: 0 it is as asked, 1 it is not, 64 bad settings.
#[derive(Parser)]
#[command(name = "kurir", version)]
struct Arguments {
    /// Where the API is; without it http://127.0.0.1 and PORT.
    #[arg(long, env = "KURIR_URL", global = true)]
    url: Option<String>,
    /// The API's port, if KURIR_URL is not set.
    #[arg(long, env = "PORT", default_value_t = 3000, global = true)]
    port: u16,
    /// The API's key.
    #[arg(long, env = "API_KEY", hide_env_values = true, global = true)]
    api_key: Option<String>,
    #[command(subcommand)]
    command: Typed,
}

/// What the user typed.
#[derive(Subcommand)]
enum Typed {
    #[command(flatten)]
    OfApi(Command),
    #[command(flatten)]
    Alone(Alone),
}

/// What needs neither API nor key.
#[derive(Subcommand)]
pub enum Alone {
    /// Exits with 0 if a service's `/readyz` says that it is ready: the health check of the images.
    Ready {
        /// Such as http://127.0.0.1:9000/readyz.
        readyz: Url,
    },
    /// An example receiver: answers 200 to every webhook and prints its body, one line of JSON each.
    Receive {
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
    },
}

/// What asks the API.
#[derive(Subcommand)]
pub enum Command {
    /// Checks the webhook; all four checks one after another without an argument.
    Webhook {
        #[arg(value_enum)]
        check: Option<Check>,
    },
    /// Shows the WhatsApp session; exits with 0 only if it is connected.
    Status,
    /// Shows the QR code to scan with WhatsApp, Linked devices. After a logout it asks for a new one.
    Qr,
    /// Sends a text.
    Send {
        /// The number with its country code, or a JID.
        to: String,
        text: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Check {
    /// Are webhooks enabled, and where do they go?
    Status,
    /// Delivers a test event.
    Test,
    /// Delivers an event of one's own, `custom.event`.
    Custom,
    /// Delivers an event that looks like a received message.
    Message,
}

impl Check {
    pub const ALL: [Self; 4] = [Self::Status, Self::Test, Self::Custom, Self::Message];
}

pub struct Settings {
    pub url: Url,
    pub api_key: String,
}

/// What is to be done.
pub enum Asked {
    OfApi(Command, Settings),
    Alone(Alone),
}

/// # Errors
/// The exit code to end with; what was wrong has been printed.
pub fn read() -> Result<Asked, ExitCode> {
    // Of this folder alone, as the services read it.
    match dotenvy::from_path(".env") {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        Err(error) => {
            eprintln!("failed to read .env: {error}");
            return Err(ExitCode::from(BAD_SETTINGS));
        }
    }
    let Arguments { url, port, api_key, command } = Arguments::try_parse().map_err(|error| {
        // A failure to print leaves nothing better to do.
        let _ = error.print();
        // `--help` and `--version` are no mistakes.
        if error.use_stderr() { ExitCode::from(BAD_SETTINGS) } else { ExitCode::SUCCESS }
    })?;
    let command = match command {
        Typed::OfApi(command) => command,
        Typed::Alone(alone) => return Ok(Asked::Alone(alone)),
    };
    let given = url.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    let url = Url::parse(&given.unwrap_or_else(|| format!("http://127.0.0.1:{port}")))
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let api_key = api_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    match (url, api_key) {
        (Some(url), Some(api_key)) => Ok(Asked::OfApi(command, Settings { url, api_key })),
        (url, api_key) => {
            if url.is_none() {
                eprintln!("bad setting KURIR_URL: it must be a URL such as http://127.0.0.1:3000");
            }
            if api_key.is_none() {
                eprintln!("bad setting API_KEY: it is missing: set it to the API's key, in the environment or in .env");
            }
            Err(ExitCode::from(BAD_SETTINGS))
        }
    }
}
