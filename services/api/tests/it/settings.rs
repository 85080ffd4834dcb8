//! Settings that cannot work: said clearly, with the exit code that says so too.

use crate::api::{KEY, SOON};
use kurir_test_harness::{Port, Process};

const BINARY: &str = env!("CARGO_BIN_EXE_kurir-api");

async fn ends(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut process = Process::spawn("kurir-api", BINARY, environment.iter().copied());
    let status = process.exited(SOON).await;
    (status.code(), process.output())
}

#[tokio::test]
async fn without_a_key_it_refuses_to_start_and_says_how_to_set_one() {
    for environment in [&[][..], &[("API_KEY", "")], &[("API_KEY", "  ")]] {
        let (code, output) = ends(environment).await;
        assert_eq!(code, Some(64), "{output}");
        assert!(
            output.contains("bad setting API_KEY") && output.contains("set it in the environment or in .env"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn a_setting_that_cannot_work_is_named() {
    for (variable, value) in [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("WEBHOOK_URL", "localhost:5678"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.5/8"),
        ("CORS_ORIGIN", "example.org"),
    ] {
        let (code, output) = ends(&[("API_KEY", KEY), (variable, value)]).await;
        assert_eq!(code, Some(64), "{variable}={value}: {output}");
        let names_it = output.contains(variable) || output.contains("--port");
        assert!(names_it && !output.contains(KEY), "{variable}={value}: {output}");
    }
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let port = Port::reserve();
    let _listener = port.listen();
    let number = port.number().to_string();
    let (code, output) = ends(&[("API_KEY", KEY), ("HOST", "127.0.0.1"), ("PORT", &number)]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("failed to listen on 127.0.0.1:{number}: set PORT")), "{output}");
}

#[tokio::test]
async fn help_names_every_setting_and_no_secret() {
    let environment = [("API_KEY", KEY)];
    let mut process = Process::spawn_with_arguments("kurir-api", BINARY, ["--help"], environment);
    assert_eq!(process.exited(SOON).await.code(), Some(0));
    let help = process.output();
    for variable in [
        "PORT",
        "HOST",
        "API_KEY",
        "WEBHOOK_URL",
        "WEBHOOK_ALLOWED_NETWORKS",
        "NODE_ENV",
        "CORS_ORIGIN",
        "NATS_URL",
        "LOG_FILE",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} is missing in {help}");
    }
    assert!(!help.contains(KEY), "{help}");
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() {
    let nats = kurir_test_harness::Nats::start().await;
    let folder = std::env::temp_dir().join(format!("kurir-key-{}", std::process::id()));
    std::fs::write(&folder, format!("{KEY}\n")).expect("written");
    let path = folder.to_str().expect("text").to_owned();
    let api = crate::api::Api::start(&nats, &[("API_KEY", ""), ("API_KEY_FILE", &path)]).await;
    assert_eq!(api.get("/api/webhook/status").await.0, 200);
    let (code, output) = ends(&[("API_KEY", KEY), ("API_KEY_FILE", &path)]).await;
    assert!(code == Some(64) && output.contains("bad setting API_KEY_FILE: API_KEY is set too"), "{output}");
    std::fs::remove_file(&folder).expect("removed");
    let (code, output) = ends(&[("API_KEY_FILE", &path)]).await;
    assert!(
        code == Some(64) && output.contains("bad setting API_KEY_FILE") && output.contains("cannot be read"),
        "{output}"
    );
}
