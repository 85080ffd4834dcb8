//! The lines that a program wrote, as they come, from both outputs and through all its lives.
//!
//! Threads read them, so that a program never blocks on a full pipe while the test does something else.
//! Only the last [`MAX_LINES`] are kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A load test with a log line per message stays below; at 200 bytes a line these are 20 MB.
const MAX_LINES: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<(Source, String)>,
    /// Lines that were thrown away: the number of the first kept one.
    dropped: usize,
    life_began: usize,
    /// Outputs that have not ended yet.
    open: usize,
}

impl Output {
    /// Reads `from` to its end, in a thread that ends with it.
    pub fn read(&self, source: Source, from: impl Read + Send + 'static) {
        self.lines().open += 1;
        let output = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line);
                output.push(source, text.trim_end_matches(['\r', '\n']).to_owned());
                line.clear();
            }
            output.lines().open -= 1;
        });
    }

    fn push(&self, source: Source, line: String) {
        let mut lines = self.lines();
        if lines.kept.len() == MAX_LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back((source, line));
    }

    /// From here on it is another process that speaks.
    pub fn begin_life(&self) {
        let mut lines = self.lines();
        lines.life_began = lines.dropped + lines.kept.len();
    }

    /// The number of this life's first line.
    pub fn life_began(&self) -> usize {
        self.lines().life_began
    }

    /// Whether all of it was read: both outputs have ended.
    pub fn is_complete(&self) -> bool {
        self.lines().open == 0
    }

    /// Blocks, for the use in a drop, until all of it was read or `deadline` has passed.
    pub fn wait_until_complete(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        while !self.is_complete() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The first line from number `from` on that fits, and the number to go on with.
    pub fn find(&self, from: usize, predicate: impl Fn(Source, &str) -> bool) -> (Option<String>, usize) {
        let lines = self.lines();
        let found =
            lines.kept.iter().skip(from.saturating_sub(lines.dropped)).find(|(source, line)| predicate(*source, line));
        (found.map(|(_, line)| line.clone()), lines.dropped + lines.kept.len())
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        let skipped = lines.kept.len().saturating_sub(count);
        lines.kept.iter().skip(skipped).flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // A predicate of the test's may panic while it looks; the lines are whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
