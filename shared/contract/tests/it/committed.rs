//! Compares a committed file with generated text, or writes it.

use serde_json::{Map, Value};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Held while a section is written: several tests write sections of one file.
static WRITING: Mutex<()> = Mutex::new(());

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn is_writing() -> bool {
    env::var_os("KURIR_WRITE").is_some()
}

/// Fails if the file at `path` has another text.
#[track_caller]
pub fn assert_file(path: &str, generated: &str) {
    let file = repository().join(path);
    if is_writing() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "{path} differs from the types: write it with KURIR_WRITE=1 cargo test -p kurir-contract"
    );
}

/// Fails if the part of a file between `<!-- generated: name -->` and `<!-- end -->` has another text.
#[track_caller]
pub fn assert_section(path: &str, name: &str, generated: &str) {
    let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(repository().join(path)).unwrap();
    let begin = format!("<!-- generated: {name} -->\n");
    let from = text.find(&begin).unwrap_or_else(|| panic!("{path} has no section {name}")) + begin.len();
    let to = from + text[from..].find("<!-- end -->").unwrap_or_else(|| panic!("section {name} of {path} has no end"));
    assert_file(path, &format!("{}{generated}{}", &text[..from], &text[to..]));
}

/// JSON with its fields in alphabetical order, whatever features of serde_json other crates turn on.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}
