//! Finds the built programs.
//!
//! They are in the folder that `KURIR_BIN_DIR` names, for example the released ones, or else in cargo's target folder, next
//! to the running test. `make` builds them; a test does not.

use std::env;
use std::path::{Path, PathBuf};

/// The path of the program with this name.
///
/// # Panics
/// If it is not built.
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    let folder = folder();
    let path = folder.join(name);
    if !path.is_file() {
        panic!(
            "{name} is not in {}: `make test` builds it; or build it with `make build` and set KURIR_BIN_DIR=target/dist",
            folder.display()
        );
    }
    path
}

/// The folder with the built programs.
#[track_caller]
pub fn folder() -> PathBuf {
    match env::var_os("KURIR_BIN_DIR") {
        // A relative path starts at the repository, but cargo runs a test in its package's folder.
        Some(folder) => repository().join(folder),
        None => folder_of_this_test(),
    }
}

/// The folder of the repository from which this test was built.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// `target/debug` for the test `target/debug/deps/it-0123456789abcdef`.
#[track_caller]
fn folder_of_this_test() -> PathBuf {
    let test = match env::current_exe() {
        Ok(test) => test,
        Err(problem) => panic!("the running test does not know where it is: {problem}"),
    };
    let folder = test.parent().unwrap_or(&test);
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}
