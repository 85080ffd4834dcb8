//! What makes the simulator usable without its source: the document of its calls, recordings, runs that repeat.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_document_is_the_one_that_is_served() {
    let sim = Sim::start().await;
    let served = String::from_utf8(sim.bytes("/openapi.json").await).unwrap();
    let committed = docs().join("simulator-openapi.json");
    if std::env::var_os("KURIR_WRITE").is_some() {
        std::fs::write(&committed, &served).unwrap();
    }
    let known = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(known == served, "docs/simulator-openapi.json is old: run this test with KURIR_WRITE=1");
    let document: Value = serde_json::from_str(&served).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let page = std::fs::read_to_string(docs().join("simulator.md")).unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(page.contains(path.as_str()), "docs/simulator.md says nothing of {path}");
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} names two calls");
            assert!(
                operation["summary"].is_string() && operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
            let in_path = path.matches('{').count();
            let described = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path");
            assert_eq!(described.count(), in_path, "{method} {path}");
        }
    }
    // What refers to a schema finds it.
    for reference in served.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][reference].is_object(), "there is no schema {reference}");
    }
    let write = &document["paths"]["/contacts/{number}/messages"]["post"];
    assert!(write["responses"]["201"].is_object() && write["requestBody"].is_object(), "{write}");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_session_is_a_test_that_fails_when_the_client_is_silent() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    sim.post("/record", json!({})).await;
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.text(ANNA, "what's new?", json!({})).await;
    phone.until_heard("what's new?").await;
    for _ in 0..2 {
        phone.send(&format!("{ANNA}@s.whatsapp.net"), "\"nothing\"\nyet").await;
    }
    let path = format!("/contacts/{ANNA}/messages");
    sim.until(&path, |inbox| inbox.as_array().unwrap().len() == 2).await;
    assert_eq!(sim.call("POST", "/channels/4711x/messages", Some(json!({"text": "refused"}))).await.0, 400);
    assert_eq!(sim.call("DELETE", "/record", None).await.0, 204);
    let recorded = sim.get("/record").await;
    assert_eq!((&recorded["recording"], &recorded["complete"]), (&json!(false), &json!(true)));
    let kinds: Vec<&str> =
        recorded["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    for kind in ["call", "stanza", "received"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let script = folder.path().join("recording.sh");
    std::fs::write(&script, sim.bytes("/record?as=script").await).unwrap();
    phone.shutdown().await;
    sim.stop().await;

    // Another WhatsApp, another client: one that answers as often, one that answers less, and one that does not.
    for (answers, tries) in [(2, "300"), (1, "5"), (0, "5")] {
        let (sim, folder) = (Sim::start().await, tempdir().unwrap());
        let phone = Phone::paired(&sim, folder.path(), None).await;
        let mut test = Command::new("sh");
        test.arg(&script).arg(sim.base()).env("TRIES", tries).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = tokio::task::spawn_blocking(move || test.output().unwrap());
        phone.until_heard("what's new?").await;
        for _ in 0..answers {
            phone.send(&format!("{ANNA}@s.whatsapp.net"), "\"nothing\"\nyet").await;
        }
        let output = running.await.unwrap();
        assert_eq!(output.status.success(), answers == 2, "{answers} answers: {output:?}");
        phone.shutdown().await;
        sim.stop().await;
    }
}

struct Running {
    process: Child,
    base: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already if it failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary, with these arguments, once it listens.
fn start(arguments: &[&str]) -> Running {
    let mut process = Command::new(env!("CARGO_BIN_EXE_whatsapp-simulator"))
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let base = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("listening on ")?;
        Some(format!("http://{}", rest.split(',').next()?))
    });
    // Whatever else it says must find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Running { process, base: base.unwrap() }
}

/// What a run makes by chance: keys, ids, codes.
async fn made(run: &Running) -> Value {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let post = async |path: &str, body: Value| {
        let answer = http.post(format!("{}{path}", run.base)).json(&body).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let certificate: Value = http.get(format!("{}/certificate", run.base)).send().await.unwrap().json().await.unwrap();
    let channel = post("/channels", json!({"name": "News", "owner": ANNA})).await;
    let group = post(
        "/groups",
        json!({"subject": "Us", "participants": [ANNA, "15550200002"], "creator": ANNA,
        "account": "15550200003"}),
    )
    .await;
    json!([certificate["noiseRootKey"], channel["id"], channel["invite"], group["id"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_with_one_seed_are_alike_and_others_are_not() {
    let [first, second, other, by_chance] = [&["--seed", "7"][..], &["--seed", "7"], &["--seed", "8"], &[]].map(start);
    let wanted = made(&first).await;
    assert!(wanted.as_array().unwrap().iter().all(Value::is_string), "{wanted}");
    assert_eq!(made(&second).await, wanted);
    assert_ne!(made(&other).await, wanted);
    assert_ne!(made(&by_chance).await, wanted);
}

/// The same numbers once more would give the ids of the first run to others.
#[test]
fn a_seed_needs_a_new_state() {
    let folder = tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let arguments = ["--seed", "7", "--state", state];
    let first = start(&arguments);
    let begun = Instant::now();
    while !folder.path().join("simulator.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no state was written");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(first);
    let mut again = Command::new(env!("CARGO_BIN_EXE_whatsapp-simulator"));
    let again = again.args(["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("--seed (SIMULATOR_SEED) needs a new state"), "{said}");
    drop(start(&["--state", state]));
}
