//! Where log lines go: collected in memory and written by a thread of their own, many in one system call.
//!
//! A line that is written at once costs its service several microseconds for each place that it goes to, and a
//! delivery logs two. Promises that lines stay whole and in order, that none is dropped (a caller that logs waits if
//! the writing lags), and that all are out when [`Writing`] has ended. A process that is killed loses its last
//! milliseconds.

use crate::log_redaction::LogSecrets;
use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are collected before they are written: nobody who follows the log sees it.
const COLLECT: Duration = Duration::from_millis(10);
/// Collected bytes that are written without waiting for more.
const ENOUGH: usize = 64 * 1024;
/// Collected bytes beyond which a caller that logs waits for the writing: a second's worth of 10,000 lines.
const BOUND: usize = 2 * 1024 * 1024;

/// Takes lines.
#[derive(Clone)]
pub struct LogLines(Arc<Shared>);

/// The thread that writes them.
pub struct Writing {
    lines: LogLines,
    thread: JoinHandle<()>,
}

/// Public only because a writer of [`MakeWriter`] must be.
pub struct Shared {
    secrets: LogSecrets,
    has_colours: bool,
    collected: Mutex<Collected>,
    /// Something was collected, enough was, or no more will be.
    grown: Condvar,
    /// What was collected is being written.
    taken: Condvar,
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    is_ended: bool,
}

impl LogLines {
    /// Starts a thread that writes to all of `places`, without the secrets.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn to(
        places: Vec<Box<dyn Write + Send>>,
        secrets: LogSecrets,
        has_colours: bool,
    ) -> io::Result<(Self, Writing)> {
        let lines = Self(Arc::new(Shared {
            secrets,
            has_colours,
            collected: Mutex::default(),
            grown: Condvar::new(),
            taken: Condvar::new(),
        }));
        let shared = Arc::clone(&lines.0);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(places))?;
        Ok((lines.clone(), Writing { lines, thread }))
    }
}

impl Writing {
    /// Writes what is left. What is logged afterwards goes nowhere.
    pub fn end(self) {
        self.lines.0.collected().is_ended = true;
        self.lines.0.grown.notify_all();
        // It can only have panicked, and then there is nothing left to write with.
        let _ = self.thread.join();
    }
}

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = &'a Shared;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

/// The formatter hands in each line as a whole.
impl Write for &Shared {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let redacted = self.secrets.redact(&text, self.has_colours);
        let mut collected = self.collected();
        while collected.bytes.len() > BOUND && !collected.is_ended {
            collected = self.taken.wait(collected).unwrap_or_else(PoisonError::into_inner);
        }
        if collected.is_ended {
            return Ok(line.len());
        }
        let before = collected.bytes.len();
        collected.bytes.extend_from_slice(redacted.as_bytes());
        let after = collected.bytes.len();
        drop(collected);
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.grown.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn collected(&self) -> MutexGuard<'_, Collected> {
        // Bytes are appended in one step, so they are whole whatever happened to another thread.
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut places: Vec<Box<dyn Write + Send>>) {
        let mut batch = Vec::new();
        loop {
            let is_ended = self.take(&mut batch);
            for place in &mut places {
                // A disk that is full or a terminal that is gone: there is nowhere to tell of it.
                let _ = place.write_all(&batch).and_then(|()| place.flush());
            }
            batch.clear();
            if is_ended {
                return;
            }
        }
    }

    /// Waits for lines and takes all; true if they are the last.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let collected = self.collected();
        let mut collected = self
            .grown
            .wait_while(collected, |collected| collected.bytes.is_empty() && !collected.is_ended)
            .unwrap_or_else(PoisonError::into_inner);
        if collected.bytes.len() < ENOUGH && !collected.is_ended {
            (collected, _) = self
                .grown
                .wait_timeout_while(collected, COLLECT, |collected| {
                    collected.bytes.len() < ENOUGH && !collected.is_ended
                })
                .unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut collected.bytes, batch);
        self.taken.notify_all();
        collected.is_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that can be looked into.
    #[derive(Clone, Default)]
    struct Place(Arc<Mutex<Vec<u8>>>);

    impl Write for Place {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no other thread panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_lines_of_all_threads_are_written_whole_to_every_place_before_the_end() {
        const THREADS: usize = 4;
        // More than the bound in all: whoever logs must have waited.
        const LINES: usize = 20_000;
        let (one, other) = (Place::default(), Place::default());
        let (lines, writing) =
            LogLines::to(vec![Box::new(one.clone()), Box::new(other.clone())], LogSecrets::default(), false)
                .expect("a thread can be started");
        thread::scope(|scope| {
            for number in 0..THREADS {
                let lines = &lines;
                scope.spawn(move || {
                    for line in 0..LINES {
                        let text = format!("{number} {line} {}\n", "x".repeat(40));
                        lines.make_writer().write_all(text.as_bytes()).expect("never fails");
                    }
                });
            }
        });
        writing.end();
        let written = String::from_utf8(one.0.lock().expect("unpoisoned").clone()).expect("whole lines are text");
        assert_eq!(written.as_bytes(), other.0.lock().expect("unpoisoned").as_slice());
        for number in 0..THREADS {
            let own = written.lines().filter_map(|line| line.strip_prefix(&format!("{number} ")));
            let expected = (0..LINES).map(|line| format!("{line} {}", "x".repeat(40)));
            assert!(own.eq(expected), "the lines of thread {number}");
        }
    }
}
