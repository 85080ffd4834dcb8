//! The lines that a program wrote to both outputs, in all its runs.
//!
//! Threads read them, so that a program never blocks on a full pipe while the test does something else. Only the last
//! [`MAX_LINES`] are kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A load test with a log line for each message stays below this. At 200 bytes a line it is 20 MB.
const MAX_LINES: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputSource {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, Default)]
pub struct ProcessOutput(Arc<Mutex<OutputLines>>);

#[derive(Debug, Default)]
struct OutputLines {
    kept: VecDeque<(OutputSource, String)>,
    /// How many lines were dropped: the number of the first kept line.
    dropped: usize,
    first_line_of_life: usize,
    /// How many outputs have not ended yet.
    open: usize,
}

impl ProcessOutput {
    /// Reads `from` to its end, in a thread.
    pub fn read(&self, source: OutputSource, from: impl Read + Send + 'static) {
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

    fn push(&self, source: OutputSource, line: String) {
        let mut lines = self.lines();
        if lines.kept.len() == MAX_LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back((source, line));
    }

    /// Starts a new run: later lines are those of another process.
    pub fn begin_life(&self) {
        let mut lines = self.lines();
        lines.first_line_of_life = lines.dropped + lines.kept.len();
    }

    /// The number of the present run's first line.
    pub fn first_line_of_life(&self) -> usize {
        self.lines().first_line_of_life
    }

    /// Whether both outputs have ended, so that all lines were read.
    pub fn is_complete(&self) -> bool {
        self.lines().open == 0
    }

    /// Blocks until all lines were read or `deadline` has passed. It is for a drop, which cannot await.
    pub fn wait_until_complete(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        while !self.is_complete() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The first matching line at or after number `from`, and the number to continue with.
    pub fn find(&self, from: usize, predicate: impl Fn(OutputSource, &str) -> bool) -> (Option<String>, usize) {
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

    fn lines(&self) -> MutexGuard<'_, OutputLines> {
        // A predicate of the test may panic under the lock; the lines are intact even then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
