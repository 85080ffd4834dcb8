//! Settings: one clap struct for each program, from flags, the environment and `.env`. All problems are reported at once.

use crate::{env_file::apply_env_file, key_ring::InvalidKeyRing, log_redaction::LogSecrets};
use clap::{
    Parser,
    error::{ContextKind, ContextValue},
};
use std::{
    error::Error as _,
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

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

/// Settings for which empty says something: no file, no origin, no network.
const EMPTY_IS_A_VALUE: [&str; 3] = ["LOG_FILE", "CORS_ORIGIN", "WEBHOOK_ALLOWED_NETWORKS"];

/// Parses as clap's own `try_parse` does, but an empty variable counts as unset: a line `PORT=` of a `.env` and compose's
/// `A=${A:-}` are the default. Each secret may come from a file, which `<variable>_FILE` names.
fn parse<S: Parser>(arguments: Vec<OsString>) -> Result<(S, LogSecrets), clap::Error> {
    let is_unset = |arg: &clap::Arg| {
        let Some(name) = arg.get_env() else { return false };
        let says_nothing = EMPTY_IS_A_VALUE.iter().all(|one| name != OsStr::new(one));
        says_nothing && std::env::var_os(name).is_some_and(|value| value.to_string_lossy().trim().is_empty())
    };
    let command = S::command().mut_args(|arg| {
        let arg = if is_unset(&arg) { arg.env(None::<&'static str>) } else { arg };
        match secret_variable(&arg).map(str::to_owned) {
            Some(variable) => {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                arg.help(format!("{help}. `{variable}_FILE` names a file that holds it"))
            }
            None => arg,
        }
    });
    let secrets: Vec<_> =
        command.get_arguments().filter(|arg| secret_variable(arg).is_some()).map(|arg| arg.get_id().clone()).collect();
    let mut matches = command.try_get_matches_from(arguments)?;
    let given = secrets.iter().filter_map(|id| matches.get_raw(id.as_str())).flatten();
    let given = LogSecrets::new(given.map(|value| value.to_string_lossy().trim().to_owned()));
    Ok((S::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut S::command()))?, given))
}

/// The variable of a setting whose value `--help` does not show.
fn secret_variable(arg: &clap::Arg) -> Option<&str> {
    arg.get_env().filter(|_| arg.is_hide_env_values_set()).and_then(OsStr::to_str)
}

/// The variable of the setting that the error is about, if its value is a secret: clap's text holds the value.
fn secret_in_error<S: Parser>(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(about)) = error.get(ContextKind::InvalidArg) else { return None };
    let command = S::command();
    let secret = command.get_arguments().find(|arg| {
        // As `--nats-url <NATS_URL>`.
        let flag = arg.get_long().map(|flag| format!("--{flag}"));
        flag.is_some_and(|flag| about.split([' ', '=']).next() == Some(flag.as_str()))
    })?;
    secret_variable(secret).map(str::to_owned)
}

/// What would be right; only from errors that are known not to repeat the secret.
fn secret_fix(error: &clap::Error) -> String {
    match error.source().and_then(|source| source.downcast_ref::<InvalidKeyRing>()) {
        Some(invalid) => invalid.to_string(),
        None => "its value, which is a secret, cannot be read".to_owned(),
    }
}

/// The arguments of this process, and one for each secret that is in a file.
fn arguments_with_files<S: Parser>() -> Result<Vec<OsString>, Vec<(String, String)>> {
    let (mut arguments, mut problems): (Vec<_>, _) = (std::env::args_os().collect(), Vec::new());
    let command = S::command();
    for arg in command.get_arguments() {
        let (Some(variable), Some(flag)) = (secret_variable(arg), arg.get_long()) else { continue };
        let of_file = format!("{variable}_FILE");
        // A setting of its own reads this file.
        if command.get_arguments().any(|other| other.get_env().is_some_and(|name| name == OsStr::new(&of_file))) {
            continue;
        }
        let Some(path) = std::env::var_os(&of_file).filter(|path| !path.is_empty()) else { continue };
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            problems.push((of_file, format!("{variable} is set too: set one of them")));
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(value) => arguments.insert(1.min(arguments.len()), format!("--{flag}={}", value.trim()).into()),
            Err(error) => problems.push((of_file, format!("{} cannot be read: {error}", path.display()))),
        }
    }
    if problems.is_empty() { Ok(arguments) } else { Err(problems) }
}

/// Reads the flags, the environment and `.env`, if there is one; the real environment wins over the file. `problems` finds
/// the problems that clap cannot see.
///
/// # Errors
/// The exit code to end with; the problems have been printed.
pub fn load<S: Parser>(problems: impl FnOnce(&S) -> Vec<SettingProblem>) -> Result<S, ExitCode> {
    load_with_secrets(problems).map(|(settings, _)| settings)
}

/// Loads the settings, and returns the secrets among them, which no log line may hold.
pub(crate) fn load_with_secrets<S: Parser>(
    problems: impl FnOnce(&S) -> Vec<SettingProblem>,
) -> Result<(S, LogSecrets), ExitCode> {
    // Only of this folder: a `.env` further up belongs to another program.
    if let Err(error) = apply_env_file(Path::new(".env")) {
        eprintln!("failed to read .env: {error}");
        return Err(ExitCode::from(BAD_SETTINGS));
    }
    let arguments = arguments_with_files::<S>().map_err(|problems| {
        for (variable, fix) in problems {
            eprintln!("bad setting {variable}: {fix}");
        }
        ExitCode::from(BAD_SETTINGS)
    })?;
    let (settings, secrets) = match parse::<S>(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            match secret_in_error::<S>(&error) {
                Some(variable) => eprintln!("bad setting {variable}: {}", secret_fix(&error)),
                // Nothing better can be done if printing fails.
                None => drop(error.print()),
            }
            // `--help` and `--version` are no errors.
            return Err(if error.use_stderr() { ExitCode::from(BAD_SETTINGS) } else { ExitCode::SUCCESS });
        }
    };
    let problems = problems(&settings);
    if problems.is_empty() {
        return Ok((settings, secrets));
    }
    for SettingProblem { variable, fix } in problems {
        eprintln!("bad setting {variable}: {fix}");
    }
    Err(ExitCode::from(BAD_SETTINGS))
}
