//! Settings: one clap struct for each program, from flags, the environment and `.env`. All problems are reported at once.

use crate::log_redaction::LogSecrets;
use clap::Parser;
use std::{
    ffi::{OsStr, OsString},
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

/// Parses as clap's own `try_parse` does, but an empty variable of a setting without a default counts as unset, because
/// compose passes `A=${A:-}`. Each secret may come from a file, which `<variable>_FILE` names.
fn parse<S: Parser>(arguments: Vec<OsString>) -> Result<(S, LogSecrets), clap::Error> {
    let is_unset = |arg: &clap::Arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        empty && arg.get_default_values().is_empty()
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
    match dotenvy::from_path(".env") {
        Ok(()) => {}
        Err(error) if error.not_found() => {}
        Err(error) => {
            eprintln!("failed to read .env: {error}");
            return Err(ExitCode::from(BAD_SETTINGS));
        }
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
            // Nothing better can be done if printing fails.
            let _ = error.print();
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
