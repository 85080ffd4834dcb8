//! The built command line against the built API and a NATS; a gateway and a dispatcher are answered for where a text
//! depends on them. The whole way is in `tests/end-to-end`.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use async_nats::Client;
use futures::StreamExt as _;
use kurir_test_harness::{Nats, Port, Process, binaries::binary};
use std::time::Duration;

const KEY: &str = "a-key-of-the-tests";
const SOON: Duration = Duration::from_secs(30);

struct Api {
    _process: Process,
    port: Port,
}

impl Api {
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
    async fn kurir(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let port = self.port.number().to_string();
        kurir(arguments, &[("API_KEY", KEY), ("PORT", &port)]).await
    }
}

async fn kurir(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_kurir");
    let arguments = arguments.iter().copied();
    let mut process = Process::spawn_with_arguments("kurir", binary, arguments, settings.iter().copied());
    let status = process.exited(SOON).await;
    (status.code(), process.output())
}

/// Answers all that is published on `subjects` and names an inbox in the reply or in `Kurir-Report-To`.
async fn answer(client: Client, subjects: &'static str, with: impl Fn(&str, &str) -> String + Send + 'static) {
    let mut messages = client.subscribe(subjects).await.expect("a subscription");
    client.flush().await.expect("a connection");
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string);
            let event = header("Nats-Msg-Id").unwrap_or_default();
            let inbox = header("Kurir-Report-To").or(message.reply.as_ref().map(ToString::to_string));
            if let Some(inbox) = inbox {
                client.publish(inbox, with(&message.subject, &event).into()).await.expect("a connection");
            }
        }
    });
}

async fn ends(nats: &Nats, delivered: bool) {
    let end = move |_: &str, event: &str| {
        format!(
            r#"{{"eventId":"{event}","endpoint":"default","attempt":1,"status":200,"delivered":{delivered},"error":null}}"#
        )
    };
    answer(nats.client().await, "whatsapp.events.>", end).await;
}

async fn gateway(nats: &Nats, state: &'static str) {
    let reply = move |subject: &str, _: &str| {
        if subject.ends_with("send-text") {
            return r#"{"ok":{"messageId":"3EB0AA","to":"6281234567890@s.whatsapp.net","attempt":1}}"#.to_owned();
        }
        format!(r#"{{"ok":{{"sessionPath":"./sessions","reason":null,"until":null,"lid":null,{state}}}}}"#)
    };
    answer(nats.client().await, "whatsapp.commands.default.*", reply).await;
}

#[tokio::test]
async fn all_four_checks_tell_of_a_webhook_that_works() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, "http://127.0.0.1:9/webhook").await;
    ends(&nats, true).await;
    let delivered = "delivered, the receiver answered 200 (attempt 1)";
    let (code, output) = api.kurir(&["webhook"]).await;
    let expected = format!(
        "webhook status: enabled, events go to http://127.0.0.1:9/webhook\nwebhook test: {delivered}\n\
         webhook custom: {delivered}\nwebhook message: {delivered}\n"
    );
    assert_eq!((code, output.as_str()), (Some(0), expected.as_str()));
    for check in ["status", "test", "custom", "message"] {
        let (code, output) = api.kurir(&["webhook", check]).await;
        assert!(code == Some(0) && output.starts_with(&format!("webhook {check}: ")), "{check}: {output}");
    }
}

#[tokio::test]
async fn a_webhook_that_does_not_work_is_exit_code_1() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, "http://127.0.0.1:9/webhook").await;
    ends(&nats, false).await;
    let (code, output) = api.kurir(&["webhook", "test"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "webhook test: not delivered: All retry attempts failed\n"));

    let disabled = Api::start(&nats, "").await;
    let (code, output) = disabled.kurir(&["webhook"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("disabled: set WEBHOOK_URL") && output.contains("the event is in NATS"), "{output}");
}

#[tokio::test]
async fn the_session_is_shown_and_sends() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, "").await;
    let (code, output) = api.kurir(&["status"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "WhatsApp: WhatsApp is not connected\n"));

    gateway(&nats, r#""status":"connected","isConnected":true,"qrCode":null,"jid":"628@s.whatsapp.net""#).await;
    let (code, output) = api.kurir(&["status"]).await;
    assert_eq!((code, output.as_str()), (Some(0), "WhatsApp: connected as 628@s.whatsapp.net\n"));
    let (code, output) = api.kurir(&["qr"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "WhatsApp is already connected\n"));
    let (code, output) = api.kurir(&["send", "+62 812-3456-7890", "Hello"]).await;
    assert_eq!((code, output.as_str()), (Some(0), "Message sent successfully (3EB0AA)\n"));
    let (code, output) = api.kurir(&["send", "12", "Hello"]).await;
    assert_eq!((code, output.as_str()), (Some(1), "not sent: Invalid phone number format\n"));
}

#[tokio::test]
async fn the_qr_code_is_a_picture() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, "").await;
    gateway(&nats, r#""status":"pairing","isConnected":false,"qrCode":"2@abc,def","jid":null"#).await;
    let (code, output) = api.kurir(&["qr"]).await;
    assert!(code == Some(0) && output.contains('▀') && output.contains("Linked devices"), "{output}");
    let (code, output) = api.kurir(&["status"]).await;
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
        let (code, output) = kurir(arguments, settings).await;
        assert!(code == Some(64) && output.contains(variable), "{variable}: {code:?} {output}");
    }
    let port = Port::reserve();
    let number = port.number().to_string();
    let (code, output) = kurir(&["webhook"], &[("API_KEY", KEY), ("PORT", &number)]).await;
    assert!(code == Some(1) && output.contains("failed to reach the API"), "{code:?} {output}");
}

#[tokio::test]
async fn a_wrong_key_is_told_and_dot_env_is_read() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, "").await;
    let url = format!("http://{}/", api.port.addr());
    let (code, output) = kurir(&["status"], &[("API_KEY", "wrong"), ("KURIR_URL", &url)]).await;
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
