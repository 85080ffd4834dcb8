//! A bar on a terminal; elsewhere nothing, so that a log holds only the result.

use std::io::{self, IsTerminal as _, Write as _};

const WIDTH: u64 = 40;

/// The progress of something that takes a while.
pub struct ProgressBar {
    is_shown: bool,
}

impl ProgressBar {
    pub fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    /// # Errors
    /// If the terminal is closed.
    pub fn show(&self, done: u64, all: u64) -> io::Result<()> {
        if !self.is_shown {
            return Ok(());
        }
        let filled = (done * WIDTH).checked_div(all).unwrap_or(WIDTH).min(WIDTH) as usize;
        eprint!("\r[{}{}] {done} of {all}", "#".repeat(filled), ".".repeat(WIDTH as usize - filled));
        io::stderr().flush()
    }

    /// Leaves the bar as it is, and begins a new line.
    pub fn end(&self) {
        if self.is_shown {
            eprintln!();
        }
    }
}
