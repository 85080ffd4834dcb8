//! Section "Environment": variables, their defaults, and `.env`.

use kurir_test_harness::{Nats, Port, Process, binaries::binary, http, stack::SOON};
use std::process::Command;

#[test]
fn each_variable_has_its_default() {
    for (program, variable, default) in [
        ("kurir-api", "PORT", "[default: 3000]"),
        ("kurir-api", "API_KEY", ""),
        ("kurir-api", "WEBHOOK_URL", ""),
        ("kurir-webhook-dispatcher", "WEBHOOK_URL", ""),
        ("kurir-gateway-for-simulator", "WHATSAPP_SESSION_PATH", "[default: ./sessions]"),
        ("kurir-gateway-for-simulator", "WHATSAPP_LOG_LEVEL", "[default: info]"),
        ("kurir-api", "NODE_ENV", "[default: development]"),
        ("kurir-api", "NATS_URL", "[default: nats://127.0.0.1:4222]"),
        ("kurir-gateway-for-simulator", "NATS_URL", "[default: nats://127.0.0.1:4222]"),
        ("kurir-webhook-dispatcher", "NATS_URL", "[default: nats://127.0.0.1:4222]"),
    ] {
        let help = Command::new(binary(program)).arg("--help").env_clear().output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        // A setting's text ends with its variable and its default, before the next flag.
        let at = help.find(&format!("[env: {variable}")).unwrap_or_else(|| panic!("{program} has no {variable}"));
        let rest = help[at..].split("\n      --").next().unwrap_or_default();
        assert!(rest.contains(default), "{program} {variable}: {rest}");
    }
}

#[tokio::test]
async fn without_a_key_the_api_refuses_to_start_and_says_so() {
    let mut api = Process::spawn("api", binary("kurir-api"), [("LOG_FILE", "")]);
    assert_eq!(api.exited(SOON).await.code(), Some(64));
    assert!(api.output().contains("API_KEY"), "{}", api.output());
}

#[tokio::test]
async fn env_is_read_if_it_is_there_and_the_real_environment_wins() {
    let nats = Nats::start().await;
    let port = Port::reserve();
    let mut api = Process::spawn(
        "api",
        binary("kurir-api"),
        [("NATS_URL", nats.url()), ("LOG_FILE", String::new()), ("API_KEY", "real".to_owned())],
    );
    // It is read at the start.
    api.kill_9().await;
    let file = format!("API_KEY=of-the-file\nPORT={}\nHOST=127.0.0.1\nNODE_ENV=production\n", port.number());
    std::fs::write(api.folder().join(".env"), file).unwrap();
    api.start_again();
    api.wait_ready(SOON).await;
    let url = |path: &str| format!("http://{}{path}", port.addr());
    let health: serde_json::Value =
        http::client().get(url("/api/health/detailed")).send().await.unwrap().json().await.unwrap();
    assert_eq!(health["environment"], "production");
    for (key, status) in [("real", 200), ("of-the-file", 401)] {
        let asked = http::client().get(url("/api/webhook/status")).header("X-API-Key", key);
        assert_eq!(asked.send().await.unwrap().status(), status, "{key}");
    }
}
