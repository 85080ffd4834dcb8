//! A committed file, compared with what was generated, or written.

use serde_json::{Map, Value};
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Tests write parts of one file.
static WRITING: Mutex<()> = Mutex::new(());

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn writes() -> bool {
    env::var_os("KURIR_WRITE").is_some()
}

/// Fails if the file at `path` holds anything else.
#[track_caller]
pub fn is(path: &str, generated: &str) {
    let file = repository().join(path);
    if writes() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == generated, "{path} is not what the types say: KURIR_WRITE=1 cargo test -p kurir-contract");
}

/// The same for the part of a file between `<!-- generated: name -->` and `<!-- end -->`.
#[track_caller]
pub fn has_section(path: &str, name: &str, generated: &str) {
    let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(repository().join(path)).unwrap();
    let begin = format!("<!-- generated: {name} -->\n");
    let from = text.find(&begin).unwrap_or_else(|| panic!("{path} has no section {name}")) + begin.len();
    let to = from + text[from..].find("<!-- end -->").unwrap_or_else(|| panic!("section {name} of {path} has no end"));
    is(path, &format!("{}{generated}{}", &text[..from], &text[to..]));
}

/// JSON with its fields in the order of the alphabet, whatever features other crates gave to serde_json.
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
