//! The file `.env`, read as Node's dotenv 16 reads it: the files of the old program mean the same here.
//!
//! Nothing in a value is expanded: `s3cr$et` is `s3cr$et`. Of two equal names the last one counts. What is no setting is
//! passed over, so no line of the file can end up in an error.

use regex::Regex;
use std::{collections::BTreeMap, fs, io, path::Path};

/// dotenv's own pattern: a name, `=` or `: `, and a value in quotes (over several lines, if need be) or up to a `#`.
const LINE: &str = r##"(?m)^\s*(?:export\s+)?([A-Za-z0-9_.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$"##;

/// Sets the variables of the file that the environment does not have. A file that is missing has none.
///
/// # Errors
/// If the file cannot be read.
pub fn apply_env_file(path: &Path) -> io::Result<()> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let quoted: String =
        parse_env(&String::from_utf8_lossy(&bytes)).iter().map(|(name, value)| quote(name, value)).collect();
    // It only sets variables here, which Rust itself does not let safe code do; what it reads has one meaning.
    dotenvy::from_read(quoted.as_bytes()).map_err(|_| io::Error::other("a name or a value cannot be a variable"))
}

/// The names and values of a file.
fn parse_env(text: &str) -> BTreeMap<String, String> {
    let Ok(line) = Regex::new(LINE) else { return BTreeMap::new() };
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut variables = BTreeMap::new();
    for found in line.captures_iter(&text) {
        let value = found.get(2).map_or("", |value| value.as_str().trim());
        variables.insert(found[1].to_owned(), unquote(value));
    }
    variables
}

fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"' | '`'));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
    if quote == Some('"') { inner.replace("\\n", "\n").replace("\\r", "\r") } else { inner.to_owned() }
}

/// A line that dotenvy reads as this value; empty for a name that no variable of Kurir has.
fn quote(name: &str, value: &str) -> String {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains('-');
    if !is_name || value.contains('\0') {
        return String::new();
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
    format!("{name}=\"{value}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row is what `require("dotenv").parse` (16.4) makes of the text.
    #[test]
    fn a_file_is_read_as_dotenv_reads_it() {
        for (text, expected) in [
            ("A=b", &[("A", "b")] as &[(&str, &str)]),
            ("A=s3cr$et", &[("A", "s3cr$et")]),
            ("A=s3cr${B}et\nB=x", &[("A", "s3cr${B}et"), ("B", "x")]),
            ("A=\"s3cr$et\"", &[("A", "s3cr$et")]),
            ("A=http://x/hook/$tok/x?a=b&c=d", &[("A", "http://x/hook/$tok/x?a=b&c=d")]),
            ("A=one\nA=two", &[("A", "two")]),
            ("A=My Bot", &[("A", "My Bot")]),
            ("A='My Bot' # a comment", &[("A", "My Bot")]),
            ("A=b # a comment", &[("A", "b")]),
            ("A=b#c", &[("A", "b")]),
            ("A='b#c'", &[("A", "b#c")]),
            ("A=\"b#c\"", &[("A", "b#c")]),
            ("A=", &[("A", "")]),
            ("A=\nB=c", &[("A", ""), ("B", "c")]),
            ("A=''", &[("A", "")]),
            ("export A=b", &[("A", "b")]),
            ("A: b", &[("A", "b")]),
            ("  A  =  b  ", &[("A", "b")]),
            ("A=\"one\\ntwo\"", &[("A", "one\ntwo")]),
            ("A='one\\ntwo'", &[("A", "one\\ntwo")]),
            ("A=one\\ntwo", &[("A", "one\\ntwo")]),
            ("A=\"one\ntwo\"", &[("A", "one\ntwo")]),
            ("A=`it's \"b\"`", &[("A", "it's \"b\"")]),
            ("A=it's", &[("A", "it's")]),
            ("A={\"b\": \"c\"}", &[("A", "{\"b\": \"c\"}")]),
            ("A=\"b", &[("A", "\"b")]),
            ("A=C:\\new", &[("A", "C:\\new")]),
            ("# A=b\nB=c", &[("B", "c")]),
            ("no setting\nB=c", &[("B", "c")]),
            ("A=b\r\nB=c\rC=d", &[("A", "b"), ("B", "c"), ("C", "d")]),
            ("\u{feff}A=b", &[("A", "b")]),
            ("A.B-c=d", &[("A.B-c", "d")]),
            ("A==b", &[("A", "=b")]),
            ("A=b=c", &[("A", "b=c")]),
            ("", &[]),
        ] {
            let expected: BTreeMap<_, _> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(parse_env(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_value_goes_through_unchanged() {
        for value in ["", "s3cr$et", "a\"b'c`d", "C:\\new\\", "one\ntwo", "$A ${A}", "#", "é 😀", "a\\nb", " b "] {
            let line = quote("A", value);
            let read: Vec<_> = dotenvy::from_read_iter(line.as_bytes()).map(Result::unwrap).collect();
            assert_eq!(read, [("A".to_owned(), value.to_owned())], "{line:?}");
        }
        assert_eq!(quote("9A", "b") + &quote("A-B", "b"), "");
    }
}
