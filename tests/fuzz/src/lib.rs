//! Runs the parsers of foreign input on a kept corpus and on mutations of it, for a bounded time.
//!
//! A target is a unit test next to its parser that calls [`run`]. Each file of `corpus/<target>` is an input: usual ones, hostile
//! ones, and every one that a run has found. `KURIR_FUZZ_SECONDS` is how long a target mutates (2 by default), and
//! `KURIR_FUZZ_SEED` chooses other mutations. An input that fails is written into the corpus, to be kept with its mend.
//!
//! The mutations know nothing of the code. They know the corpus: its tokens, its parts, and values at which parsers break.

#![expect(clippy::print_stderr, reason = "it reports to whoever runs the tests")]

mod mutator;

use mutator::Mutator;
use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A parser that needs longer for one input of at most [`mutator::LONGEST`] bytes hangs, even in a debug build on a busy machine.
const ONE_INPUT_WITHIN: Duration = Duration::from_secs(10);

/// Checks every input of the corpus and then mutations of it. The check panics if the parser does something wrong.
///
/// # Panics
/// If the check does, if one input takes too long, or if the target has no corpus.
pub fn run(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let corpus = read_corpus(&folder);
    assert!(!corpus.is_empty(), "{} holds no input", folder.display());
    for (file, input) in &corpus {
        try_input(&check, input).unwrap_or_else(|failure| {
            eprintln!("{} fails", file.display());
            failure.go_on()
        });
    }
    let seed = setting("KURIR_FUZZ_SEED").unwrap_or(1);
    let lasts = Duration::from_secs(setting("KURIR_FUZZ_SECONDS").unwrap_or(2));
    let mut mutator = Mutator::new(seed, corpus.into_iter().map(|(_, input)| input).collect());
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < lasts {
        let input = mutator.next_input();
        count += 1;
        try_input(&check, &input).unwrap_or_else(|failure| {
            let file = folder.join(format!("found-{:016x}", hash(&input)));
            let kept = fs::write(&file, &input);
            eprintln!("mutation {count} of seed {seed} fails; it is kept in {}: {kept:?}", file.display());
            failure.go_on()
        });
    }
    eprintln!("{target}: {count} mutations in {:.1?}", begun.elapsed());
}

/// The first line of an input, and the rest: many corpora have what a header says there.
#[must_use]
pub fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

enum InputFailure {
    Panic(Box<dyn std::any::Any + Send>),
    Slow(Duration),
}

impl InputFailure {
    fn go_on(self) -> ! {
        match self {
            Self::Panic(panic) => resume_unwind(panic),
            Self::Slow(took) => panic!("one input took {took:?}"),
        }
    }
}

fn try_input(check: &impl Fn(&[u8]), input: &[u8]) -> Result<(), InputFailure> {
    let begun = Instant::now();
    catch_unwind(AssertUnwindSafe(|| check(input))).map_err(InputFailure::Panic)?;
    let took = begun.elapsed();
    if took > ONE_INPUT_WITHIN { Err(InputFailure::Slow(took)) } else { Ok(()) }
}

/// Sorted, so that a seed gives the same inputs everywhere.
fn read_corpus(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut corpus: Vec<_> = entries.filter_map(|entry| Some((entry.path(), fs::read(entry.path()).ok()?))).collect();
    corpus.sort();
    corpus
}

fn setting(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn hash(input: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_fault_behind_a_token_of_the_corpus_is_found() {
        let mut mutator = Mutator::new(1, vec![b"{\"a\": 1}".to_vec(), b"{\"deep\": [[]]}".to_vec()]);
        let found = (0..20_000).map(|_| mutator.next_input()).any(|input| {
            let text = String::from_utf8_lossy(&input);
            text.contains("deep") && text.contains("\"a\"") && text.contains("null")
        });
        assert!(found);
    }

    #[test]
    fn a_panic_and_its_input_are_reported() {
        let seen = Cell::new(0);
        let check = |input: &[u8]| {
            seen.set(seen.get() + 1);
            assert!(input.len() < 3, "too long");
        };
        assert!(try_input(&check, b"ab").is_ok());
        assert!(matches!(try_input(&check, b"abc"), Err(InputFailure::Panic(_))));
        assert_eq!(seen.get(), 2);
    }
}
