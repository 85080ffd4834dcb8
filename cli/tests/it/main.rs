//! The command line with a real API, NATS and dispatcher. A stand-in answers for the gateway where a text depends on it;
//! `tests/end-to-end` uses a real one.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use futures::StreamExt as _;
use kurir_test_harness::{Answer, Nats, Port, Process, Receiver, binaries::binary, until};
use std::time::Duration;

const KEY: &str = "a-key-of-the-tests";
const SOON: Duration = Duration::from_secs(30);

struct TestApi {
    _process: Process,
    port: Port,
}

impl TestApi {
    async fn start(nats: &Nats, webhook_url: &str) -> Self {
        let port = Port::reserve();
        let (url, number) = (nats.url(), port.number().to_string());
        let settings = [
            ("NATS_URL", url.as_str()),
            ("API_KEY", KEY),
            ("HOST", "127.0.0.1"),
            ("PORT", &number),
            ("WEBHOOK_URL", webhook_url),
        ];
        let mut process = Process::spawn("kurir-api", binary("kurir-api"), settings);
        process.wait_ready(SOON).await;
        Self { _process: process, port }
    }

    /// Exit code and output of one call.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let port = self.port.number().to_string();
        run_kurir(arguments, &[("API_KEY", KEY), ("PORT", &port)]).await
    }
}

/// Exit code and output of one call.
async fn run_kurir(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_kurir");
    let arguments = arguments.iter().copied();
    let mut process = Process::spawn_with_arguments("kurir", binary, arguments, settings.iter().copied());
    let status = process.exited(SOON).await;
    (status.code(), process.output())
}

async fn dispatcher(nats: &Nats, webhook_url: &str) -> Process {
    let settings = [("NATS_URL", nats.url()), ("WEBHOOK_URL", webhook_url.to_owned())];
    let mut process = Process::spawn("dispatcher", binary("kurir-webhook-dispatcher"), settings);
    process.wait_ready(SOON).await;
    process
}

/// Answers commands as a gateway whose session is in this state.
async fn answer_as_gateway(nats: &Nats, state: &'static str) {
    let client = nats.client().await;
    let mut commands = client.subscribe("whatsapp.commands.default.*").await.expect("a subscription");
    // NATS reads commands in their order: with this answer it knows the subscription.
    client.request("nobody.listens.here", "".into()).await.expect_err("no responders");
    tokio::spawn(async move {
        while let Some(command) = commands.next().await {
            let reply = if command.subject.ends_with("send-text") {
                r#"{"ok":{"messageId":"3EB0AA","to":"6281234567890@s.whatsapp.net","attempt":1}}"#.to_owned()
            } else {
                format!(r#"{{"ok":{{"sessionPath":"./sessions","reason":null,"until":null,"lid":null,{state}}}}}"#)
            };
            client.publish(command.reply.expect("an inbox"), reply.into()).await.expect("a connection");
        }
    });
}

#[tokio::test]
async fn all_four_checks_pass_with_a_webhook_that_works() {
    let nats = Nats::start().await;
    let receiver = Receiver::start().await;
    let api = TestApi::start(&nats, &receiver.url()).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    let delivered = "delivered, the receiver answered 200 (attempt 1)";
    let (code, output) = api.run(&["webhook"]).await;
    let expected = format!(
        "webhook status: enabled, events go to {}\nwebhook test: {delivered}\n\
         webhook custom: {delivered}\nwebhook message: {delivered}\n",
        receiver.url()
    );
    assert_eq!((code, output.as_str()), (Some(0), expected.as_str()));
    let events: Vec<_> = receiver.requests().iter().map(|request| request.json()["event"].clone()).collect();
    assert_eq!(events, ["test", "custom.event", "message.received"]);
    for check in ["status", "test", "custom", "message"] {
        let (code, output) = api.run(&["webhook", check]).await;
        assert!(code == Some(0) && output.starts_with(&format!("webhook {check}: ")), "{check}: {output}");
    }
}

#[tokio::test]
async fn a_webhook_that_does_not_work_is_exit_code_1() {
    let nats = Nats::start().await;
    let receiver = Receiver::start().await;
    receiver.always(Answer::status(500));
    let api = TestApi::start(&nats, &receiver.url()).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    let (code, output) = api.run(&["webhook", "test"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "webhook test: not delivered: All retry attempts failed\n"));

    let disabled = TestApi::start(&nats, "").await;
    let (code, output) = disabled.run(&["webhook"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("disabled: set WEBHOOK_URL") && output.contains("the event is in NATS"), "{output}");
}

#[tokio::test]
async fn the_session_is_shown_and_sends() {
    let nats = Nats::start().await;
    let api = TestApi::start(&nats, "").await;
    let (code, output) = api.run(&["status"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "WhatsApp: WhatsApp is not connected\n"));

    answer_as_gateway(&nats, r#""status":"connected","isConnected":true,"qrCode":null,"jid":"628@s.whatsapp.net""#)
        .await;
    let (code, output) = api.run(&["status"]).await;
    assert_eq!((code, output.as_str()), (Some(0), "WhatsApp: connected as 628@s.whatsapp.net\n"));
    let (code, output) = api.run(&["qr"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "WhatsApp is already connected\n"));
    let (code, output) = api.run(&["send", "+62 812-3456-7890", "Hello"]).await;
    assert_eq!((code, output.as_str()), (Some(0), "Message sent successfully (3EB0AA)\n"));
    let (code, output) = api.run(&["send", "12", "Hello"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "not sent: Invalid phone number format\n"));
}

#[tokio::test]
async fn the_qr_code_is_a_picture() {
    let nats = Nats::start().await;
    let api = TestApi::start(&nats, "").await;
    answer_as_gateway(&nats, r#""status":"pairing","isConnected":false,"qrCode":"2@abc,def","jid":null"#).await;
    let (code, output) = api.run(&["qr"]).await;
    assert!(code == Some(0) && output.contains('▀') && output.contains("Linked devices"), "{output}");
    let (code, output) = api.run(&["status"]).await;
    assert!(code == Some(1) && output.starts_with("WhatsApp: pairing\n"), "{output}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_exit_code_64_and_an_api_that_is_away_is_1() {
    for (arguments, settings, variable) in [
        (&["status"][..], &[][..], "API_KEY"),
        (&["status"], &[("API_KEY", KEY), ("KURIR_URL", "localhost:3000")], "KURIR_URL"),
        (&["status"], &[("API_KEY", KEY), ("PORT", "x")], "--port"),
        (&["webhook", "nothing"], &[("API_KEY", KEY)], "nothing"),
        (&[], &[("API_KEY", KEY)], "Usage"),
    ] {
        let (code, output) = run_kurir(arguments, settings).await;
        assert!(code == Some(64) && output.contains(variable), "{variable}: {code:?} {output}");
    }
    let port = Port::reserve();
    let number = port.number().to_string();
    let (code, output) = run_kurir(&["webhook"], &[("API_KEY", KEY), ("PORT", &number)]).await;
    assert!(code == Some(1) && output.contains("failed to reach the API"), "{code:?} {output}");
}

#[tokio::test]
async fn a_wrong_key_is_reported_and_dot_env_is_read() {
    let nats = Nats::start().await;
    let api = TestApi::start(&nats, "").await;
    let url = format!("http://{}/", api.port.addr());
    let (code, output) = run_kurir(&["status"], &[("API_KEY", "wrong"), ("KURIR_URL", &url)]).await;
    assert!(code == Some(1) && output.contains("does not accept this key"), "{output}");

    let mut process =
        Process::spawn_with_arguments("kurir", env!("CARGO_BIN_EXE_kurir"), ["webhook", "status"], [("", ""); 0]);
    process.exited(SOON).await;
    let settings = format!("API_KEY={KEY}\nPORT={}\n", api.port.number());
    std::fs::write(process.folder().join(".env"), settings).expect("a file");
    process.start_again();
    assert_eq!(process.exited(SOON).await.code(), Some(1));
    assert!(process.output().contains("webhook status: disabled"), "{}", process.output());
}

#[tokio::test]
async fn the_example_receiver_prints_events_and_ready_checks_a_service() {
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let mut receiver = Process::spawn_with_arguments(
        "receiver",
        env!("CARGO_BIN_EXE_kurir"),
        ["receive", "--listen", &listen],
        [("", ""); 0],
    );
    receiver.wait_ready(SOON).await;
    let answer = kurir_test_harness::http::client()
        .post(format!("http://{listen}/any/path"))
        .body("{\"event\": \"test\",\n \"data\": {}}")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let line = receiver.wait_for_line(|line| line.contains("\"event\""), SOON).await;
    assert!(line.contains("\"data\""), "one line of JSON: {line}");
    assert!(receiver.terminate(SOON).await.success());

    let nats = Nats::start().await;
    let api = TestApi::start(&nats, "").await;
    let readyz = format!("http://{}/readyz", api.port.addr());
    assert_eq!(run_kurir(&["ready", &readyz], &[]).await.0, Some(0));
    assert_eq!(run_kurir(&["ready", &format!("http://{}/none", api.port.addr())], &[]).await.0, Some(1));
    assert_eq!(run_kurir(&["ready", &format!("http://{listen}/readyz")], &[]).await.0, Some(1));
}

#[tokio::test]
async fn a_key_is_made_listed_and_deleted() {
    let nats = Nats::start().await;
    let api = TestApi::start(&nats, "").await;
    let (code, made) = api.run(&["keys", "create", "CRM", "--scopes", "read,send"]).await;
    assert!(code == Some(0) && made.contains("kurir_"), "{code:?} {made}");
    let (_, list) = api.run(&["keys", "list", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(list.trim()).expect("JSON");
    assert_eq!((&list[0]["name"], list[0]["scopes"].as_array().map(Vec::len)), (&"CRM".into(), Some(2)), "{list}");
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    let (code, table) = api.run(&["keys", "list"]).await;
    assert!(code == Some(0) && table.starts_with("ID") && table.contains(&id), "{table}");
    assert_eq!(api.run(&["keys", "delete", &id]).await.0, Some(0));
    assert_eq!(api.run(&["keys", "delete", &id]).await.0, Some(1));
    assert_eq!(api.run(&["keys", "create", "x", "--scopes", "all"]).await.0, Some(1));
}

#[tokio::test]
async fn listen_forwards_live_events_signed_and_tail_prints_them() {
    let (nats, receiver) = (Nats::start().await, Receiver::start().await);
    let api = TestApi::start(&nats, "").await;
    let port = api.port.number().to_string();
    let settings = [("API_KEY", KEY), ("PORT", port.as_str())];
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = receiver.url();
    let binary = env!("CARGO_BIN_EXE_kurir");
    let listen = ["listen", "--to", url.as_str(), "--secret", secret, "--after", "0", "--type", "custom.*"];
    let _listen = Process::spawn_with_arguments("kurir listen", binary, listen, settings);
    let tail = ["tail", "--after", "0", "--json"];
    let mut tail = Process::spawn_with_arguments("kurir tail", binary, tail, settings);
    let (code, sent) = api.run(&["webhook", "custom"]).await;
    assert_eq!(code, Some(1), "webhooks are disabled, the event is stored: {sent}");
    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(requests[0].json()["event"], "custom.event");
    assert!(requests[0].header("webhook-id").starts_with("evt_"));
    assert!(requests[0].header("webhook-signature").starts_with("v1,"));
    tail.wait_for_line(|line| line.contains("custom.event") && line.starts_with('{'), SOON).await;
}

#[tokio::test]
async fn the_life_of_an_event_and_its_deliveries_are_printed() {
    let (nats, receiver) = (Nats::start().await, Receiver::start().await);
    let api = TestApi::start(&nats, &receiver.url()).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    assert_eq!(api.run(&["webhook", "custom"]).await.0, Some(0));
    let id = receiver.wait_for(1, SOON).await[0].header("webhook-id").to_owned();
    until("the life of the event", SOON, || async {
        let (code, life) = api.run(&["life", &id]).await;
        let is_whole =
            code == Some(0) && life.contains("default: delivered") && life.contains("attempt 1 delivered 200");
        if is_whole { Ok(()) } else { Err(life) }
    })
    .await;
    let (_, table) = api.run(&["deliveries", "--outcome", "delivered"]).await;
    assert!(table.starts_with("AT") && table.contains(&id), "{table}");
    assert_eq!(api.run(&["life", "evt_none"]).await.0, Some(1));
    let (code, rebuilt) = api.run(&["index", "rebuild"]).await;
    assert!(code == Some(0) && rebuilt.contains("The index has"), "{rebuilt}");
}

#[tokio::test]
async fn completions_and_the_manual_have_every_command() {
    let commands =
        ["webhook", "status", "qr", "send", "life", "tail", "listen", "deliveries", "keys", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, printed) = run_kurir(&["completions", shell], &[]).await;
        assert_eq!(code, Some(0), "{shell}: {printed}");
        for command in commands {
            assert!(printed.contains(command), "{shell} does not know {command}");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let manual = folder.path().join("man1");
    let (code, printed) = run_kurir(&["man", manual.to_str().expect("a path")], &[]).await;
    assert_eq!(code, Some(0), "{printed}");
    for page in std::iter::once("kurir.1".to_owned()).chain(commands.map(|command| format!("kurir-{command}.1"))) {
        let text = std::fs::read_to_string(manual.join(&page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".TH"), "{page} is no page of a manual");
    }
    let (code, _) = run_kurir(&["man", "/proc/nowhere"], &[]).await;
    assert_eq!(code, Some(1));
}
