//! Settings: one clap struct for each program, from flags, the environment and `.env`. All problems are reported at once.

use clap::Parser;
use std::process::ExitCode;

/// Exit code for settings that cannot work (`EX_USAGE` of sysexits).
pub const BAD_SETTINGS: u8 = 64;

/// A bad setting, and how to correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong and what would be right, as the end of the sentence "bad setting <variable>: …".
    pub fix: String,
}

impl SettingProblem {
    #[must_use]
    pub fn new(variable: &'static str, fix: impl Into<String>) -> Self {
        Self { variable, fix: fix.into() }
    }
}

/// The settings of a service.
pub trait ServiceSettings: Parser {
    /// The problems that clap cannot see: settings that contradict each other, values that are missing.
    fn problems(&self) -> Vec<SettingProblem>;
    /// The settings of the log.
    fn logging(&self) -> &crate::telemetry::LogSettings;

    /// The log's filter: `LOG_LEVEL`, to which a service may add.
    fn log_filter(&self) -> String {
        self.logging().log_level.clone()
    }
}

/// Parses as clap's own `try_parse` does, but an empty variable of a setting without a default counts as unset, because
/// compose passes `A=${A:-}`.
fn parse<S: Parser>() -> Result<S, clap::Error> {
    let is_unset = |arg: &clap::Arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        empty && arg.get_default_values().is_empty()
    };
    let command = S::command().mut_args(|arg| if is_unset(&arg) { arg.env(None::<&'static str>) } else { arg });
    let mut matches = command.try_get_matches()?;
    S::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut S::command()))
}

/// Reads the flags, the environment and `.env`, if there is one; the real environment wins over the file. `problems` finds
/// the problems that clap cannot see.
///
/// # Errors
/// The exit code to end with; the problems have been printed.
pub fn load<S: Parser>(problems: impl FnOnce(&S) -> Vec<SettingProblem>) -> Result<S, ExitCode> {
    // Only of this folder: a `.env` further up belongs to another program.
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
            // Nothing better can be done if printing fails.
            let _ = error.print();
            // `--help` and `--version` are no errors.
            return Err(if error.use_stderr() { ExitCode::from(BAD_SETTINGS) } else { ExitCode::SUCCESS });
        }
    };
    let problems = problems(&settings);
    if problems.is_empty() {
        return Ok(settings);
    }
    for SettingProblem { variable, fix } in problems {
        eprintln!("bad setting {variable}: {fix}");
    }
    Err(ExitCode::from(BAD_SETTINGS))
}
