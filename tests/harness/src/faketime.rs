//! Wrong clocks: libfaketime shows a process another time of day. Its monotonic clock stays right, as on a real machine.

use std::path::Path;

/// Where Debian has the library.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// The variables that move a process's clock by this many seconds, as `+60`. None: there is no library, which is said aloud.
#[must_use]
pub fn environment(seconds: &str) -> Option<[(String, String); 3]> {
    let Some(library) = LIBRARIES.iter().find(|library| Path::new(library).exists()) else {
        eprintln!("SKIPPED: there is no libfaketime here (Debian: apt-get install libfaketime)");
        return None;
    };
    let variables = [("LD_PRELOAD", *library), ("FAKETIME", seconds), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    Some(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
}
