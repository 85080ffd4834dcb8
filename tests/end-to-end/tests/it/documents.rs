//! The documents tell the truth: paths exist, links lead somewhere, commands run.

use crate::expect::webhook;
use kurir_test_harness::{Stack, binaries::repository, stack::SOON};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Commands that another test runs, by their first words; the rest of the line is settings.
const RUN_ELSEWHERE: [(&str, &str); 11] = [
    ("make demo", "demo.rs"),
    ("make up", "demo.rs runs the same script; the real WhatsApp cannot be reached from a test"),
    ("make test", "this is it"),
    ("make settings", "settings_page.rs"),
    ("make build", "released.rs builds the released gateway; compose.rs all others"),
    ("docker compose --env-file deploy/simulator.env up", "compose.rs"),
    ("docker compose up", "compose.rs"),
    ("docker compose logs", "compose.rs"),
    ("echo 'WEBHOOK_URL=", "writes into the user's .env"),
    ("echo \"API_KEY=", "writes into the user's .env"),
    ("nats --server", "below, where the program is installed"),
];

fn documents() -> Vec<PathBuf> {
    let mut found = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| repository().join(page)).to_vec();
    let mut folders = vec![repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "md") {
                found.push(entry);
            }
        }
    }
    found
}

/// The lines inside fences of one language.
fn fenced(document: &str, language: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == format!("```{language}");
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.starts_with("http") && !folder.join(target.split('#').next().unwrap()).exists() {
                missing.push(format!("{}: link {target}", document.display()));
            }
        }
        for path in text.split('`').skip(1).step_by(2) {
            let ours =
                ["services/", "shared/", "tests/", "deploy/", "docs/", "cli/"].iter().any(|top| path.starts_with(top));
            if ours && !path.contains([' ', '*', '<', '{']) && !repository().join(path).exists() {
                missing.push(format!("{}: path {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_the_documents_runs() {
    let stack = Stack::start().await;
    // The message that the lines about messages name.
    let message = json!({"text": "Hello", "id": "3EB0C431C26A1916E07A"});
    stack.simulator.contact_sends("6281234567890", message).await;
    webhook(&stack.receiver, "the message", |body| body["data"]["messageId"] == "3EB0C431C26A1916E07A").await;
    let mut failed = Vec::new();
    for document in documents() {
        for line in fenced(&fs::read_to_string(&document).unwrap(), "sh") {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bare = without_settings(&line);
            if RUN_ELSEWHERE.iter().any(|(known, _)| bare.starts_with(known)) {
                continue;
            }
            let (done, said) = run(&stack, &line);
            if !done {
                failed.push(format!("{}: {line}\n{said}", document.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    stack.finish().await;
}

/// The command of a line, without the settings before it.
fn without_settings(line: &str) -> String {
    line.split_whitespace().skip_while(|word| is_setting(word)).collect::<Vec<_>>().join(" ")
}

fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

/// Runs a line against this test's stack, whose ports are other ones.
fn run(stack: &Stack, line: &str) -> (bool, String) {
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let line = line
        .replace("127.0.0.1:3000", &address(stack.api.url("")))
        .replace("127.0.0.1:8080", &address(stack.simulator.url("")))
        .replace("127.0.0.1:4222", &stack.nats.addr().to_string());
    let line = if line.starts_with("curl ") { format!("{line} -sS --fail-with-body") } else { line };
    let path =
        format!("{}:{}", kurir_test_harness::binaries::folder().display(), std::env::var("PATH").unwrap_or_default());
    let done = Command::new("sh")
        .arg("-c")
        .arg(&line)
        .current_dir(repository())
        .env("PATH", path)
        .env("API_KEY", kurir_test_harness::stack::KEY)
        .env("KURIR_URL", stack.api.url(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_subscribes_as_the_page_says() {
    let page = fs::read_to_string(repository().join("docs/reading-events.md")).unwrap();
    let program = fenced(&page, "python").join("\n");
    let folder = tempfile::tempdir().unwrap();
    if !install(folder.path()) {
        eprintln!("SKIPPED: python3 has no pip here, so the subscriber of the page was not run");
        return;
    }
    let stack = Stack::start().await;
    stack.simulator.contact_writes("6281234567890", "for another service").await;
    let mut subscriber = kurir_test_harness::Process::spawn_with_arguments(
        "subscriber",
        which("python3"),
        ["-c", &program.replace("127.0.0.1:4222", &stack.nats.addr().to_string())],
        [("PYTHONPATH", folder.path())],
    );
    subscriber.wait_for_line(|line| line.contains("for another service"), SOON).await;
    subscriber.kill_9().await;

    if let Some(nats) = try_which("nats") {
        let line = fenced(&page, "sh").into_iter().find(|line| line.starts_with("nats ")).unwrap();
        let arguments: Vec<String> = line
            .replace("127.0.0.1:4222", &stack.nats.addr().to_string())
            .replace('\'', "")
            .split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect();
        let mut listener = kurir_test_harness::Process::spawn_with_arguments("nats", nats, arguments, [("", ""); 0]);
        listener.wait_for_line(|line| line.contains("Subscribing"), SOON).await;
        stack.api.post("/api/webhook/send", json!({"eventType": "custom.event"})).await;
        listener.wait_for_line(|line| line.contains("custom.event"), SOON).await;
        listener.kill_9().await;
    } else {
        eprintln!("SKIPPED: the program `nats` is not installed, so its line was not run");
    }
    stack.finish().await;
}

fn install(folder: &Path) -> bool {
    let pip =
        Command::new("python3").args(["-m", "pip", "install", "-q", "--target"]).arg(folder).arg("nats-py").output();
    pip.is_ok_and(|done| done.status.success())
}

pub fn try_which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn which(program: &str) -> PathBuf {
    try_which(program).unwrap_or_else(|| panic!("{program} is not on PATH"))
}

#[test]
fn the_readme_is_short_and_every_guarantee_has_its_test() {
    let words = fs::read_to_string(repository().join("README.md")).unwrap().split_whitespace().count();
    assert!(words <= 900, "the README has {words} words: it is a product page, the rest belongs into docs/");
    let guarantees = fs::read_to_string(repository().join("docs/guarantees.md")).unwrap();
    let rows = guarantees.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| case "));
    let untested: Vec<_> = rows.filter(|row| !row.contains("/tests/it/")).collect();
    assert!(untested.is_empty(), "no test is named in {untested:?}");
}
