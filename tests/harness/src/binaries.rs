//! Where the built programs are.
//!
//! In the folder that `KURIR_BIN_DIR` names (to test the released ones, say), else beside the running test
//! in cargo's target folder. Building them is make's work, not a test's.

use std::env;
use std::path::{Path, PathBuf};

/// The program with this name.
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
        // A relative one is meant from the repository, but cargo runs a test in its package's folder.
        Some(folder) => repository().join(folder),
        None => beside_this_test(),
    }
}

/// The repository that this test was built in.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// `target/debug` for the test `target/debug/deps/it-0123456789abcdef`.
#[track_caller]
fn beside_this_test() -> PathBuf {
    let test = match env::current_exe() {
        Ok(test) => test,
        Err(problem) => panic!("the running test does not know where it is: {problem}"),
    };
    let folder = test.parent().unwrap_or(&test);
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}
