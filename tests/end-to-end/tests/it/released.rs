//! The gateway that is released trusts WhatsApp alone: it refuses the simulator.

use kurir_test_harness::{Nats, Process, binaries::repository, stack::Simulator};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_released_gateway_refuses_the_simulators_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let binary = build(folder.path());
    let nats = Nats::start().await;
    let simulator = Simulator::start(true).await;
    let mut gateway = Process::spawn(
        "released gateway",
        binary,
        [
            ("NATS_URL", nats.url()),
            ("LOG_FILE", String::new()),
            ("WHATSAPP_URL", simulator.websocket_url()),
            ("WHATSAPP_SESSION_PATH", "sessions".to_owned()),
        ],
    );
    gateway.wait_ready(Duration::from_secs(30)).await;
    let refused = |line: &str| line.contains("signature") && (line.contains("verify") || line.contains("cert"));
    gateway.wait_for_line(refused, Duration::from_secs(30)).await;
    let statistics = simulator.get("/statistics").await;
    assert_eq!(statistics["logins"], 0, "{statistics}");
    assert!(!gateway.output().contains('█'), "it showed a QR code of the simulator");
    gateway.terminate(Duration::from_secs(40)).await;
}

/// The released binary that `KURIR_RELEASED_GATEWAY` names (a release is tested so), else one with the features of a
/// release, built by a cargo call of its own, as `make build` does: features are unified within one call.
fn build(folder: &Path) -> PathBuf {
    if let Some(path) = std::env::var_os("KURIR_RELEASED_GATEWAY") {
        return repository().join(path);
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(repository()).arg("build").args(["--bin", "kurir-gateway"]);
    // The packages of a release, so that the features are those of a release.
    for package in ["kurir", "kurir-api", "kurir-gateway", "kurir-webhook-dispatcher"] {
        cargo.args(["-p", package]);
    }
    // What cargo tells a test of its own package: a build script that looks at it would compile half the tree once more.
    for (name, _) in std::env::vars_os() {
        let is_of_cargo =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_of_cargo {
            cargo.env_remove(name);
        }
    }
    let built = cargo.status().unwrap();
    assert!(built.success(), "the released gateway does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    // The next build of all programs replaces it by one with all features.
    let copy = folder.join("kurir-gateway");
    fs::copy(target.join("debug/kurir-gateway"), &copy).unwrap();
    copy
}
