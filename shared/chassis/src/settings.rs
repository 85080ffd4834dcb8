//! Settings: one clap struct per service, from flags, the environment and `.env`, with all problems told at once.

use clap::Parser;
use std::process::ExitCode;

/// Exit code for settings that cannot work (`EX_USAGE` of sysexits).
pub const BAD_SETTINGS: u8 = 64;

/// A setting that cannot work, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong with it and what would be right, as the end of a sentence.
    pub fix: String,
}

impl SettingProblem {
    #[must_use]
    pub fn new(variable: &'static str, fix: impl Into<String>) -> Self {
        Self { variable, fix: fix.into() }
    }
}

/// Settings of a service.
pub trait ServiceSettings: Parser {
    /// What clap cannot see: settings that must agree with each other, values that are missing.
    fn problems(&self) -> Vec<SettingProblem>;
    fn logging(&self) -> &crate::telemetry::LogSettings;

    /// The log's filter; a service may add to `LOG_LEVEL`.
    fn log_filter(&self) -> String {
        self.logging().log_level.clone()
    }
}

/// As clap's own `try_parse`, but an empty variable of a setting without a default counts as unset: compose hands on
/// `A=${A:-}`.
fn parse<S: Parser>() -> Result<S, clap::Error> {
    let is_unset = |arg: &clap::Arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        empty && arg.get_default_values().is_empty()
    };
    let command = S::command().mut_args(|arg| if is_unset(&arg) { arg.env(None::<&'static str>) } else { arg });
    let mut matches = command.try_get_matches()?;
    S::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut S::command()))
}

/// Reads `.env` if there is one (the real environment wins), the environment and the flags.
///
/// # Errors
/// The exit code to end with; the problems have been printed.
pub fn read<S: ServiceSettings>() -> Result<S, ExitCode> {
    // Of this folder alone: a `.env` further up belongs to something else.
    match dotenvy::from_path(".env") {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        Err(error) => {
            eprintln!("failed to read .env: {error}");
            return Err(ExitCode::from(BAD_SETTINGS));
        }
    }
    let settings = match parse::<S>() {
        Ok(settings) => settings,
        Err(error) => {
            // A failure to print leaves nothing better to do.
            let _ = error.print();
            // `--help` and `--version` are no mistakes.
            return Err(if error.use_stderr() { ExitCode::from(BAD_SETTINGS) } else { ExitCode::SUCCESS });
        }
    };
    let problems = settings.problems();
    if problems.is_empty() {
        return Ok(settings);
    }
    for SettingProblem { variable, fix } in problems {
        eprintln!("bad setting {variable}: {fix}");
    }
    Err(ExitCode::from(BAD_SETTINGS))
}
