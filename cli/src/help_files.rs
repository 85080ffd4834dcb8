//! Completions for shells, and the manual: both are made from the commands themselves, so they are never behind.

use crate::settings::command_definition;
use anyhow::Context as _;
use clap_complete::Shell;
use std::{fs, io, path::Path};

/// Prints the completions of a shell.
///
/// # Errors
/// If the standard output is closed.
pub fn print_completions(shell: Shell) -> anyhow::Result<bool> {
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut command_definition(), "kurir", &mut completions);
    io::Write::write_all(&mut io::stdout(), &completions).context("failed to print the completions")?;
    Ok(true)
}

/// Writes a page of the manual for each command.
///
/// # Errors
/// If the folder cannot be written.
pub fn write_manual(folder: &Path) -> anyhow::Result<bool> {
    let write = || {
        fs::create_dir_all(folder)?;
        clap_mangen::generate_to(command_definition(), folder)
    };
    write().with_context(|| format!("failed to write the manual to {}", folder.display()))?;
    Ok(true)
}
