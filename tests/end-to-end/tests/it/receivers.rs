//! The receivers of `docs/receivers.md` as they stand there: each takes what Kurir signs, does nothing twice, and refuses what
//! somebody else sends.

use crate::documents::try_which;
use kurir_test_harness::{
    Port, Process, Stack,
    binaries::{self, repository},
    stack::SOON,
    until,
};
use reqwest::Method;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The only block of this language.
fn program(language: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/receivers.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Gives an endpoint to the program, and lets it receive a message of a contact and one that is not signed.
async fn receives(stack: &Stack, name: &str, program: &Path, arguments: &[&str], port: Port) {
    let url = format!("http://{}/", port.addr());
    let endpoint = json!({"url": url, "events": ["message.received"]});
    let (status, made) = stack.api.post("/api/endpoints", endpoint).await;
    assert_eq!(status, 201, "{made}");
    let (id, secret) = (made["data"]["id"].as_str().unwrap(), made["data"]["secret"].as_str().unwrap());
    let settings = [("SECRET", secret.to_owned()), ("PORT", port.number().to_string())];
    let mut receiver = Process::spawn_with_arguments(name, program, arguments, settings);
    until(format!("{name} to listen"), SOON, || async {
        let unsigned = reqwest::Client::new().post(&url).header("webhook-id", "1").body("{}").send().await;
        match unsigned.map(|answer| answer.status().as_u16()) {
            Ok(401) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let text = format!("for {name}");
    stack.simulator.contact_writes("6281234567890", &text).await;
    receiver.wait_for_line(|line| line.contains(&text), SOON).await;
    let (_, test) = stack.api.post(&format!("/api/endpoints/{id}/test"), json!({})).await;
    assert_eq!(test["result"]["success"], true, "{name}: {test}");
    receiver.kill_9().await;
    stack.api.call(Method::DELETE, &format!("/api/endpoints/{id}"), json!({})).await;
}

/// Compiles the Go program. Its cache is kept for the next run.
fn compile(go: &Path, source: &Path) -> PathBuf {
    let (program, cache) = (source.with_extension(""), binaries::folder().join("../go-cache"));
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&program).arg(source).env("GOCACHE", cache).env("GO111MODULE", "off");
    let built = build.env("HOME", source.parent().unwrap()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn each_receiver_of_the_documents_takes_what_kurir_signs() {
    let stack = Stack::plan().api("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let stack = stack.dispatcher("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8").start().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, language: &str| {
        let path = folder.path().join(name);
        fs::write(&path, program(language)).unwrap();
        path.display().to_string()
    };
    let python = write("receiver.py", "python");
    let program = try_which("python3").unwrap();
    receives(&stack, "the Python receiver", &program, &[&python], Port::reserve()).await;
    for (name, binary, file, language) in [
        ("the Node receiver", "node", "receiver.js", "js"),
        ("the Go receiver", "go", "receiver.go", "go"),
        ("the PHP receiver", "php", "receiver.php", "php"),
    ] {
        let Some(binary) = try_which(binary) else {
            eprintln!("SKIPPED: {binary} is not installed, so {name} was not run");
            continue;
        };
        let (file, port) = (write(file, language), Port::reserve());
        let address = port.addr().to_string();
        match language {
            "go" => receives(&stack, name, &compile(&binary, Path::new(&file)), &[], port).await,
            "php" => receives(&stack, name, &binary, &["-S", &address, &file], port).await,
            _ => receives(&stack, name, &binary, &[&file], port).await,
        }
    }
    stack.finish().await;
}
