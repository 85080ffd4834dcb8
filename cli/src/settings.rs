//! Where the API is, and which command the user typed: flags, the environment, `.env`.

use crate::commands::{ApiCommand, CliCommand, LocalCommand};
use clap::{CommandFactory as _, Parser};
use kurir_chassis::settings::{self, SettingProblem};
use reqwest::Url;
use std::process::ExitCode;

/// Calls the API of Kurir. Exit codes: 0 yes or done, 1 no or failed, 64 bad settings.
#[derive(Parser)]
#[command(name = "kurir", version)]
struct CliArguments {
    /// Where the API is; without it http://127.0.0.1 and PORT.
    #[arg(long, env = "KURIR_URL", global = true)]
    url: Option<String>,
    /// The API's port, if KURIR_URL is not set.
    #[arg(long, env = "PORT", default_value_t = 3000, global = true)]
    port: u16,
    /// The API's key.
    #[arg(long, env = "API_KEY", hide_env_values = true, global = true)]
    api_key: Option<String>,
    /// Prints JSON where there would be a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: CliCommand,
}

/// Where the API is, and the key that it wants.
pub struct ApiSettings {
    pub url: Url,
    pub api_key: String,
}

/// The command to run, with the settings that it needs.
pub enum CliRequest {
    /// The flag `--json` is the third.
    Api(Box<ApiCommand>, ApiSettings, bool),
    Local(LocalCommand),
}

/// Reads the flags, the environment and `.env`.
///
/// # Errors
/// The exit code to end with; the problems have been printed.
pub fn read_request() -> Result<CliRequest, ExitCode> {
    let arguments = settings::load(CliArguments::problems)?;
    let api = arguments.api_settings();
    match (arguments.command, api) {
        (CliCommand::Local(command), _) => Ok(CliRequest::Local(command)),
        (CliCommand::Api(command), Ok(settings)) => Ok(CliRequest::Api(Box::new(command), settings, arguments.json)),
        // `load` has printed these problems and ended before.
        (CliCommand::Api(_), Err(_)) => Err(ExitCode::from(settings::BAD_SETTINGS)),
    }
}

/// All commands and their flags.
pub fn command_definition() -> clap::Command {
    CliArguments::command()
}

impl CliArguments {
    fn problems(&self) -> Vec<SettingProblem> {
        match self.command {
            CliCommand::Api(_) => self.api_settings().err().unwrap_or_default(),
            CliCommand::Local(_) => Vec::new(),
        }
    }

    fn api_settings(&self) -> Result<ApiSettings, Vec<SettingProblem>> {
        let default_url = || format!("http://127.0.0.1:{}", self.port);
        let url = Url::parse(&given(self.url.as_deref()).map_or_else(default_url, str::to_owned))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        match (url, given(self.api_key.as_deref())) {
            (Some(url), Some(api_key)) => Ok(ApiSettings { url, api_key: api_key.to_owned() }),
            (url, api_key) => {
                let url = url
                    .is_none()
                    .then(|| SettingProblem::new("KURIR_URL", "it must be a URL such as http://127.0.0.1:3000"));
                let key = api_key.is_none().then(|| {
                    SettingProblem::new(
                        "API_KEY",
                        "it is missing: set it to the API's key, in the environment or in .env",
                    )
                });
                Err(url.into_iter().chain(key).collect())
            }
        }
    }
}

/// A setting without the white space around it; none if nothing is left.
fn given(setting: Option<&str>) -> Option<&str> {
    setting.map(str::trim).filter(|setting| !setting.is_empty())
}
