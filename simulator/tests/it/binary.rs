//! The binary: ready line, signals, exit codes.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Command, Stdio},
};

fn simulator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whatsapp-simulator"));
    command.env_clear().env("SIMULATOR_LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

#[test]
fn it_says_ready_and_stops_on_a_signal_with_0() {
    for signal in ["TERM", "INT"] {
        let mut child = simulator().spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn bad_settings_end_it_with_64_and_a_taken_port_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, value, code, reason) in [
        ("SIMULATOR_LISTEN", "nowhere", 64, "invalid value"),
        ("SIMULATOR_ACCOUNT", "0812345678", 64, "is not a phone number"),
        ("SIMULATOR_AUTO_SCAN", "perhaps", 64, "invalid value"),
        ("SIMULATOR_LISTEN", address.as_str(), 1, "SIMULATOR_LISTEN"),
        ("SIMULATOR_MEDIA_LISTEN", address.as_str(), 1, "SIMULATOR_MEDIA_LISTEN"),
        ("SIMULATOR_STATE", "/dev/null/state", 1, "SIMULATOR_STATE"),
    ] {
        let mut child = simulator().env(name, value).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}={value}: {said}");
        assert!(said.contains(reason), "{name}={value}: {said}");
    }
}
