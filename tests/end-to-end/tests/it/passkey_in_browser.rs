//! The lines of `docs/passkey.md`, pasted into a real browser: a Chromium that takes the simulator for web.whatsapp.com and has
//! the account's passkey. Where no Chromium is installed (Debian: `chromium`, `chromium-driver`) it is skipped and says so.

use crate::{
    documents::try_which,
    passkey::{NUMBER, passkey, scan},
};
use kurir_test_harness::{Port, Process, Stack, binaries::repository, http, stack::SOON, until};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A browser under WebDriver. It ends with its driver, since it listens to nobody but a pipe of it.
pub struct Browser {
    _driver: Process,
    client: reqwest::Client,
    session: String,
}

impl Browser {
    pub async fn start(chromium: &Path, driver: &Path, arguments: &[String]) -> Self {
        let port = Port::reserve();
        let own = [format!("--port={}", port.number())];
        let driver = Process::spawn_with_arguments("chromedriver", driver, own, [("", ""); 0]);
        let (client, url) = (http::client(), format!("http://{}", port.addr()));
        until("the driver to be ready", SOON, || async {
            let answer = client.get(format!("{url}/status")).send().await.map_err(|error| error.to_string())?;
            let status: Value = answer.json().await.map_err(|error| error.to_string())?;
            if status["value"]["ready"] == true { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let options = json!({"binary": chromium, "args": arguments});
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let mut browser = Self { _driver: driver, client, session: format!("{url}/session") };
        let begun = browser.post("", capabilities).await;
        browser.session = format!("{}/{}", browser.session, begun["sessionId"].as_str().unwrap());
        browser
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.client.post(format!("{}{path}", self.session)).json(&body).send().await.unwrap();
        let status = answer.status();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "the browser answered {path} with {status}: {answer}");
        answer["value"].take()
    }

    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// The window's content as a PNG, in base64.
    pub async fn screenshot(&self) -> String {
        let answer = self.client.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["value"].as_str().unwrap_or_else(|| panic!("no picture: {answer}")).to_owned()
    }

    pub async fn close(self) {
        self.client.delete(&self.session).send().await.unwrap();
    }
}

/// The documented lines with the real options in place of the example's.
fn lines(options: &Value) -> String {
    let page = fs::read_to_string(repository().join("docs/passkey.md")).unwrap();
    let (_, rest) = page.split_once("```js\n").unwrap();
    let (lines, _) = rest.split_once("```").unwrap();
    let (example, _) = lines.split_once(";\n").unwrap();
    lines.replacen(example.trim(), &format!("const options = {options}"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_lines_sign_in_a_real_browser() {
    let (Some(chromium), Some(driver)) = (try_which("chromium"), try_which("chromedriver")) else {
        eprintln!("SKIPPED: no chromium and chromedriver on PATH (Debian: apt-get install chromium chromium-driver)");
        return;
    };
    let stack = Stack::plan().unpaired().start().await;
    let key = stack.simulator.post("/admin/mock-phone/require-passkey", json!({"number": NUMBER})).await;
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--remote-debugging-pipe".to_owned(),
        // The simulator's certificate is its own.
        "--ignore-certificate-errors".to_owned(),
        format!("--host-resolver-rules=MAP web.whatsapp.com {}", stack.simulator.page()),
    ];
    let browser = Browser::start(&chromium, &driver, &arguments).await;
    browser.post("/url", json!({"url": "https://web.whatsapp.com/"})).await;
    let authenticator = json!({
        "protocol": "ctap2", "transport": "internal",
        "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true,
    });
    let authenticator = browser.post("/webauthn/authenticator", authenticator).await;
    let mut credential = key;
    credential["isResidentCredential"] = json!(true);
    credential["userHandle"] = json!("dXNlcg");
    credential["signCount"] = json!(0);
    let path = format!("/webauthn/authenticator/{}/credential", authenticator.as_str().unwrap());
    browser.post(&path, credential).await;

    let options = scan(&stack).await;
    // What the console does with them: they run beside, and print.
    let console = format!(
        "const console = {{ log: (line) => {{ window.printed = line; }} }};
         (async () => {{ {} }})().catch((error) => {{ window.printed = `failed: ${{error}}`; }});",
        lines(&options)
    );
    browser.run(&console).await;
    assert_eq!(browser.run("return window.printed ?? null").await, json!(null), "it signed before anybody clicked");
    let body = browser.post("/element", json!({"using": "css selector", "value": "body"})).await;
    let body = body.as_object().and_then(|named| named.values().next()?.as_str()).unwrap().to_owned();
    browser.post(&format!("/element/{body}/click"), json!({})).await;
    let printed = until("the console to print", SOON, || async {
        let printed = browser.run("return window.printed ?? null").await;
        printed.as_str().map(str::to_owned).ok_or(printed)
    })
    .await;
    let credential = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("the console printed {printed:?}"));
    browser.close().await;

    let (status, answered) = stack.api.post("/api/whatsapp/passkey/response", credential).await;
    assert_eq!(status, 200, "{answered}");
    passkey(&stack, "confirm").await;
    let (status, confirmed) = stack.api.post("/api/whatsapp/passkey/confirm", json!({})).await;
    assert_eq!(status, 200, "{confirmed}");
    stack.connected(SOON).await;
    stack.finish().await;
}
