//! Makes new inputs of old ones.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// In bytes. Longer inputs find what shorter ones do, and take longer.
pub const LONGEST: usize = 16 * 1024;
const MOST_MUTATIONS: u32 = 5;
/// What parsers stumble over.
const HOSTILE: [&str; 36] = [
    "",
    "0",
    "-1",
    "1e999",
    "9223372036854775807",
    "18446744073709551616",
    "0x10",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[[[[[",
    "{\"\":",
    "\"",
    "\\ud800",
    "\\u0000",
    "\0",
    "\r\n",
    "\r\n\r\n",
    "%00",
    "%ff",
    "%",
    "..",
    "../../",
    ".",
    ",",
    ";",
    "*",
    ">",
    "\u{202e}",
    "\u{feff}",
    "é",
    "👍",
    "\u{fffd}",
    "--",
];

pub struct Mutator {
    random: StdRng,
    corpus: Vec<Vec<u8>>,
    /// The words and numbers of the corpus.
    tokens: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        let words = corpus.iter().flat_map(|input| input.split(|byte| !byte.is_ascii_alphanumeric()));
        let mut tokens: Vec<Vec<u8>> = words.filter(|word| (1..40).contains(&word.len())).map(<[u8]>::to_vec).collect();
        tokens.sort();
        tokens.dedup();
        tokens.extend(HOSTILE.iter().map(|text| text.as_bytes().to_vec()));
        Self { random: StdRng::seed_from_u64(seed), corpus, tokens }
    }

    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.corpus.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..=MOST_MUTATIONS) {
            self.mutate(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.random.random_range(0..9_u32) {
            0 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << self.random.random_range(0..8_u32);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = self.random.random();
                }
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let part = input[from..to].to_vec();
                input.splice(to..to, part);
            }
            4 => input.truncate(from),
            5 => {
                let bytes: Vec<u8> = (0..self.random.random_range(1..9_u32)).map(|_| self.random.random()).collect();
                input.splice(from..from, bytes);
            }
            6 => {
                let other = self.corpus.choose(&mut self.random).cloned().unwrap_or_default();
                let (begin, end) = self.range(other.len());
                input.splice(from..to, other[begin..end].iter().copied());
            }
            // A token between, or instead of another one.
            mutation => {
                let token = self.tokens.choose(&mut self.random).cloned().unwrap_or_default();
                let end = if mutation == 7 { from } else { token_end(input, from) };
                input.splice(from..end, token);
            }
        }
    }

    /// A range within so many bytes; rather a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let most = if self.random.random_ratio(1, 4) { length - from } else { (length - from).min(16) };
        (from, from + self.random.random_range(0..=most))
    }
}

fn token_end(input: &[u8], from: usize) -> usize {
    let word = input.get(from..).unwrap_or_default().iter();
    from + word.take_while(|byte| byte.is_ascii_alphanumeric()).count()
}
