//! The dashboard in a real browser: from an empty installation to the first delivered message, "why did my webhook not get
//! it?", and every page without a violation of accessibility. Where no Chromium is installed it is skipped and says so.

use crate::{documents::try_which, passkey_in_browser::Browser};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_test_harness::{
    Stack, binaries,
    stack::{KEY, SOON},
    until,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};
use tokio::process::Command;

const AXE: &str = "axe-core@4.11.0";
const INSTALLED_WITHIN: Duration = Duration::from_secs(120);

/// A browser on the dashboard of a stack.
struct Page<'a> {
    browser: Browser,
    stack: &'a Stack,
}

impl<'a> Page<'a> {
    /// None where there is no browser.
    async fn open(stack: &'a Stack, window: &str) -> Option<Self> {
        let (Some(chromium), Some(driver)) = (try_which("chromium"), try_which("chromedriver")) else {
            eprintln!(
                "SKIPPED: no chromium and chromedriver on PATH (Debian: apt-get install chromium chromium-driver)"
            );
            return None;
        };
        let arguments =
            ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--lang=en-US"].map(str::to_owned);
        let arguments: Vec<String> = arguments.into_iter().chain([format!("--window-size={window}")]).collect();
        Some(Self { browser: Browser::start(&chromium, &driver, &arguments).await, stack })
    }

    async fn go(&self, path: &str) {
        self.browser.post("/url", json!({"url": self.stack.api.url(path)})).await;
    }

    /// Waits until a script gives something true.
    async fn sees(&self, what: &str, script: &str) -> Value {
        until(what, SOON, || async {
            let seen = self.browser.run(&format!("return {script}")).await;
            let is_true = seen != json!(false) && !seen.is_null() && seen != json!("");
            if is_true {
                Ok(seen)
            } else {
                Err(self.browser.run("return document.body.innerText.slice(0, 2000)").await)
            }
        })
        .await
    }

    async fn sees_text(&self, text: &str) {
        self.sees(text, &format!("document.body.innerText.includes({})", json!(text))).await;
    }

    async fn click(&self, text: &str) {
        let button = format!(
            "[...document.querySelectorAll('main button, main a, dialog[open] button')].reverse()
             .find((one) => one.textContent.trim() === {} && !one.disabled)",
            json!(text)
        );
        self.sees(&format!("the button {text}"), &format!("!!{button}")).await;
        self.browser.run(&format!("({button}).click()")).await;
    }

    async fn fill(&self, name: &str, value: &str) {
        let field = format!("document.querySelector('main [name={name}], dialog[open] [name={name}]')");
        self.sees(&format!("the field {name}"), &format!("!!{field}")).await;
        self.browser.run(&format!("{field}.value = {}", json!(value))).await;
    }

    /// Keeps a picture of the page in the folder that `KURIR_SCREENSHOTS` names, if it names one.
    async fn keep_picture(&self, path: &str, window: &str) {
        let Some(folder) = std::env::var_os("KURIR_SCREENSHOTS").map(PathBuf::from) else { return };
        let name = path.split('?').next().unwrap().trim_matches('/').replace(['/', '%', '.'], "-");
        let name = if name.is_empty() { "overview" } else { &name };
        let picture = BASE64_STANDARD.decode(self.browser.screenshot().await).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}-{}.png", window.replace(',', "x"))), picture).unwrap();
    }

    async fn log_in(&self) {
        self.go("/").await;
        self.fill("key", KEY).await;
        self.click("Log in").await;
        self.sees("the navigation", "!!document.querySelector('#nav a')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_comes_to_the_first_delivered_message_and_to_the_reason_of_one_that_is_not() {
    let allowed = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let plan = Stack::plan().unpaired().without_webhooks();
    let stack = plan.api(allowed.0, allowed.1).dispatcher(allowed.0, allowed.1).start().await;
    let Some(page) = Page::open(&stack, "1280,900").await else { return };
    page.log_in().await;
    page.sees_text("Your first delivered message").await;

    page.click("Show the QR code").await;
    page.sees("the picture of the code", "document.querySelector('img.qr')?.naturalWidth > 0").await;
    let (_, code) = stack.api.get("/api/whatsapp/qr").await;
    stack.simulator.scan(code["qrCode"].as_str().unwrap()).await;
    page.sees_text("The phone is paired.").await;

    page.go("/endpoints/new").await;
    page.fill("url", &stack.receiver.url()).await;
    page.fill("description", "CRM").await;
    page.click("Add").await;
    page.sees_text("whsec_").await;
    page.click("Done").await;
    page.click("Send a test").await;
    page.sees_text("Delivered: the receiver answered 200").await;

    stack.simulator.contact_writes("6281234567890", "Where is my parcel?").await;
    stack
        .receiver
        .wait_until("the message", SOON, |requests| {
            requests.iter().any(|request| request.json()["event"] == "message.received")
        })
        .await;
    // An endpoint that wants calls alone does not get the next one.
    let calls = json!({"url": stack.receiver.url(), "description": "calls", "events": ["call.*"]});
    assert_eq!(stack.api.post("/api/endpoints", calls).await.0, 201);

    // "My webhook did not get the message: why?": search, the message, the answer.
    page.go("/messages?q=parcel").await;
    page.click("Where is my parcel?").await;
    page.sees_text("At each endpoint").await;
    page.sees_text("the receiver answered with 200 at attempt 1").await;
    page.sees_text("WhatsApp was told only after it was stored").await;
    page.sees_text("made after the event was stored").await;

    page.browser.close().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_phone_writes_as_a_contact_shows_the_answer_and_breaks_things() {
    let stack = Stack::start().await;
    let Some(page) = Page::open(&stack, "1280,900").await else { return };
    page.log_in().await;
    page.go("/phone").await;
    page.sees_text("Nothing was written yet").await;
    page.fill("text", "hello from the page").await;
    page.click("Write").await;
    page.sees(
        "the message on the contact's side",
        "[...document.querySelectorAll('.bubble.mine')].some((one) => one.textContent.includes('hello from the page'))",
    )
    .await;
    let answer = json!({"to": "6281234567890", "message": "the answer"});
    let (status, sent) = stack.api.post("/api/whatsapp/send-message", answer).await;
    assert_eq!(status, 200, "{sent}");
    page.sees(
        "the answer",
        "[...document.querySelectorAll('.bubble:not(.mine)')].some((one) => one.textContent.includes('the answer'))",
    )
    .await;
    let before = stack.simulator.get("/statistics").await["logins"].clone();
    // The first of the buttons cuts the connection.
    page.browser.run("[...document.querySelectorAll('main .card button')][0].click()").await;
    page.sees_text("It happens now").await;
    until("another login", SOON, || async {
        let logins = stack.simulator.get("/statistics").await["logins"].clone();
        if logins == before { Err(logins) } else { Ok(()) }
    })
    .await;
    stack.connected(SOON).await;
    for fault in ["corrupt_next_message", "swallow_next_acknowledgement"] {
        let (status, answer) = stack.api.post("/api/demo/faults", json!({"fault": fault})).await;
        assert_eq!(status, 200, "{fault}: {answer}");
    }
    page.fill("text", "damaged on its way").await;
    page.click("Write").await;
    page.sees_text("damaged on its way").await;
    let (status, answer) = stack.api.post("/api/demo/faults", json!({"fault": "remove_device"})).await;
    assert_eq!(status, 200, "{answer}");
    until("the device to be removed", SOON, || async {
        let (_, body) = stack.api.get("/api/whatsapp/status").await;
        if body["data"]["status"] == "logged_out" { Ok(()) } else { Err(body) }
    })
    .await;
    for (body, code) in [
        (json!({"fault": "earthquake"}), "invalid_request"),
        (json!({}), "invalid_request"),
        (json!({"fault": "drop_connections", "more": 1}), "invalid_request"),
    ] {
        let (status, answer) = stack.api.post("/api/demo/faults", body).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{answer}");
    }
    // Beside a real WhatsApp there is no such page, and no such route.
    let real = stack.api.replica(&stack.nats.url()).await;
    let (status, answer) = real.post("/api/demo/messages", json!({"contact": "6281234567890", "text": "x"})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("route_not_found")), "{answer}");
    page.browser.close().await;
    stack.finish().await;
}

/// The script of axe, installed if it is not there yet.
async fn axe() -> Result<String, String> {
    let folder: PathBuf = binaries::folder().join("../axe");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(AXE).kill_on_drop(true);
        let output = tokio::time::timeout(INSTALLED_WITHIN, npm.output()).await.map_err(|_| "it took too long")?;
        let output = output.map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    fs::read_to_string(script).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_violation_of_accessibility_or_asks_another_host() {
    let axe = match axe().await {
        Ok(axe) => axe,
        Err(problem) => {
            eprintln!("SKIPPED: {AXE} cannot be installed: {problem}");
            return;
        }
    };
    let stack = Stack::start().await;
    stack.simulator.contact_writes("6281234567890", "hello").await;
    stack
        .receiver
        .wait_until("the message", SOON, |requests| {
            requests.iter().any(|request| request.json()["event"] == "message.received")
        })
        .await;
    let chat = "/messages/6281234567890%40s.whatsapp.net?session=default";
    for window in ["1280,900", "390,844"] {
        let Some(page) = Page::open(&stack, window).await else { return };
        page.log_in().await;
        for path in [
            "/",
            "/sessions",
            "/sessions/default",
            "/messages",
            chat,
            "/endpoints",
            "/endpoints/default",
            "/endpoints/new",
            "/deliveries",
            "/dead-letters",
            "/send",
            "/jobs",
            "/keys",
            "/audit",
            "/messages?q=hello",
            "/phone",
        ] {
            page.go(path).await;
            page.sees("the page", "!!document.querySelector('main:not([aria-busy]) h1')").await;
            page.browser.run(&axe).await;
            page.browser
                .run("window.found = null; axe.run().then((done) => { window.found = done.violations; })")
                .await;
            let found = page.sees("the result of axe", "window.found && JSON.stringify(window.found.map((one) => [one.id, one.nodes.map((node) => node.html)]))").await;
            assert_eq!(found, "[]", "{path} at {window}");
            let origin =
                "performance.getEntriesByType('resource').every((one) => new URL(one.name).origin === location.origin)";
            page.sees("no request to another host", origin).await;
            page.keep_picture(path, window).await;
        }
        page.browser.close().await;
    }
    stack.finish().await;
}
