//! Section "Names that do not change any more": programs, variables, exit codes, `ready`.

use kurir_test_harness::{Nats, Port, Process, binaries::binary, stack::SOON};
use std::process::Command;

#[test]
fn each_program_has_its_variables() {
    for (program, variables) in [
        (
            "kurir-gateway-for-simulator",
            &["NATS_URL", "LOG_FILE", "LOG_FORMAT", "WHATSAPP_SESSION_PATH", "WHATSAPP_URL", "HEALTH_LISTEN"][..],
        ),
        (
            "kurir-webhook-dispatcher",
            &[
                "NATS_URL",
                "LOG_FILE",
                "LOG_FORMAT",
                "WEBHOOK_URL",
                "WEBHOOK_ALLOWED_NETWORKS",
                "WEBHOOK_SECRET",
                "HEALTH_LISTEN",
            ],
        ),
        (
            "kurir-api",
            &[
                "NATS_URL",
                "LOG_FILE",
                "LOG_FORMAT",
                "WEBHOOK_URL",
                "WEBHOOK_ALLOWED_NETWORKS",
                "PORT",
                "API_KEY",
                "HOST",
            ],
        ),
        ("whatsapp-simulator", &["SIMULATOR_LISTEN", "SIMULATOR_MEDIA_LISTEN", "SIMULATOR_AUTO_SCAN"]),
        ("kurir", &[]),
    ] {
        let help = Command::new(binary(program)).arg("--help").env_clear().output().unwrap();
        assert_eq!(help.status.code(), Some(0), "{program}");
        let help = String::from_utf8(help.stdout).unwrap();
        for variable in variables {
            assert!(help.contains(&format!("[env: {variable}")), "{program} has no {variable}: {help}");
        }
    }
}

#[tokio::test]
async fn each_service_says_ready_and_ends_with_the_code_of_its_end() {
    let nats = Nats::start().await;
    let port = Port::reserve().number().to_string();
    for (program, wrong) in [
        ("kurir-api", ("CORS_ORIGIN", "no origin")),
        ("kurir-webhook-dispatcher", ("WEBHOOK_URL", "no URL")),
        ("kurir-gateway-for-simulator", ("BROKER_WAIT", "0s")),
    ] {
        let settings = [
            ("NATS_URL", nats.url()),
            ("LOG_FILE", String::new()),
            ("API_KEY", "key".to_owned()),
            ("PORT", port.clone()),
            ("HOST", "127.0.0.1".to_owned()),
            // Nothing listens there; a gateway is ready without WhatsApp.
            ("WHATSAPP_URL", "ws://127.0.0.1:9/ws/chat".to_owned()),
        ];
        let mut service = Process::spawn(program, binary(program), settings.clone());
        service.wait_ready(SOON).await;
        assert_eq!(service.terminate(SOON).await.code(), Some(0), "{program} stopped as asked");
        let bad = settings.into_iter().chain([(wrong.0, wrong.1.to_owned())]);
        let mut refused = Process::spawn(program, binary(program), bad);
        assert_eq!(refused.exited(SOON).await.code(), Some(64), "{program} with {wrong:?}");
        assert!(refused.output().contains(wrong.0), "{}", refused.output());
    }
}
