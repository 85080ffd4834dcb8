//! Settings: one clap struct per service, from flags, the environment and `.env`, with all problems told at once.

use clap::Parser;
use std::process::ExitCode;

/// Exit code for settings that cannot work (`EX_USAGE` of sysexits).
pub const BAD_SETTINGS: u8 = 64;

/// A number of bytes, as `100MB`: a whole number and a unit, of 1,000 (`kB`, `MB`, `GB`) or of 1,024 (`KiB`, `MiB`, `GiB`).
///
/// # Errors
/// If it is none.
pub fn bytes(text: &str) -> Result<u64, String> {
    const RIGHT: &str = "write a whole number of bytes, as 100MB or 64MiB";
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(RIGHT.to_owned()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(|| RIGHT.to_owned())
}

/// A setting that cannot work, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong with it and what would be right, as the end of a sentence.
    pub fix: String,
}

impl Problem {
    #[must_use]
    pub fn new(variable: &'static str, fix: impl Into<String>) -> Self {
        Self { variable, fix: fix.into() }
    }
}

/// Settings of a service.
pub trait Settings: Parser {
    /// What clap cannot see: settings that must agree with each other, values that are missing.
    fn problems(&self) -> Vec<Problem>;
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
pub fn read<S: Settings>() -> Result<S, ExitCode> {
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
    for Problem { variable, fix } in problems {
        eprintln!("bad setting {variable}: {fix}");
    }
    Err(ExitCode::from(BAD_SETTINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("100MB", Some(100_000_000)),
            ("5 mb", Some(5_000_000)),
            ("64MiB", Some(64 << 20)),
            ("1234", Some(1_234)),
            ("0", Some(0)),
            ("MB", None),
            ("1.5MB", None),
            ("-1MB", None),
            ("1TBx", None),
            ("99999999999GB", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
