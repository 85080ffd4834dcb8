//! The Helm chart, rendered by Helm itself in each shape that its values describe.
//!
//! Helm comes from `PATH`, or is built with Go into `target/tools`. Where neither can be had, the test says so and passes,
//! unless `KURIR_HELM=required` is set.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

const MODULE: &str = "helm.sh/helm/v3/cmd/helm@v3.19.0";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn helm() -> Option<PathBuf> {
    let runs = |helm: &Path| Command::new(helm).arg("version").output().is_ok_and(|output| output.status.success());
    let tools = repository().join("target/tools");
    let built = tools.join("helm");
    if let Some(found) = [PathBuf::from("helm"), built.clone()].into_iter().find(|helm| runs(helm)) {
        return Some(found);
    }
    std::fs::create_dir_all(&tools).unwrap();
    let tools = tools.canonicalize().unwrap();
    let installed = Command::new("go").args(["install", MODULE]).env("GOBIN", tools).output();
    if installed.is_ok_and(|output| output.status.success()) && runs(&built) {
        return Some(built);
    }
    assert!(std::env::var("KURIR_HELM").as_deref() != Ok("required"), "helm cannot be had");
    eprintln!("skipped: neither helm nor Go's module of it can be had here");
    None
}

fn run(helm: &Path, arguments: &[&str], values: &[&str]) -> Output {
    let chart = repository().join("deploy/helm/kurir");
    let mut command = Command::new(helm);
    command.args(arguments).arg(chart);
    for value in values {
        command.args(["--set", value]);
    }
    command.output().unwrap()
}

fn rendered(helm: &Path, values: &[&str]) -> Vec<String> {
    let linted = run(helm, &["lint", "--strict"], values);
    assert!(linted.status.success(), "{values:?}: {}", String::from_utf8_lossy(&linted.stdout));
    let output = run(helm, &["template", "--kube-version", "1.30.0", "kurir"], values);
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n---").map(str::to_owned).filter(|document| document.contains("kind:")).collect()
}

/// The document about this part.
fn part<'a>(documents: &'a [String], kind: &str, name: &str) -> Option<&'a String> {
    let (kind, name) = (format!("\nkind: {kind}\n"), format!("\n  name: {name}\n"));
    documents.iter().find(|document| document.contains(&kind) && document.contains(&name))
}

#[test]
fn the_chart_renders_in_each_of_its_shapes() {
    let Some(helm) = helm() else { return };
    let plain = rendered(&helm, &[]);
    let gateway = part(&plain, "StatefulSet", "kurir-gateway").unwrap();
    assert!(gateway.contains("volumeClaimTemplates") && !gateway.contains("SESSION_KEY"), "{gateway}");
    for (kind, name) in [
        ("Deployment", "kurir-webhook-dispatcher"),
        ("Deployment", "kurir-api"),
        ("StatefulSet", "kurir-nats"),
        ("Secret", "kurir-api-key"),
        ("Secret", "kurir-secrets-key"),
    ] {
        assert!(part(&plain, kind, name).is_some(), "{kind} {name}: {plain:#?}");
    }

    let api = part(&plain, "Deployment", "kurir-api").unwrap();
    assert!(api.contains("scheme: HTTP }") && !api.contains("TLS_CERT_FILE"), "{api}");
    let secured = rendered(&helm, &["api.tls.existingSecret=kurir-tls"]);
    let api = part(&secured, "Deployment", "kurir-api").unwrap();
    assert!(
        api.contains("scheme: HTTPS }") && api.contains("TLS_CERT_FILE") && api.contains("secretName: kurir-tls"),
        "{api}"
    );

    let shared = rendered(&helm, &["gateway.sessionStore=nats", "gateway.replicas=3", "nats.replicas=3"]);
    let gateway = part(&shared, "Deployment", "kurir-gateway").unwrap();
    assert!(!gateway.contains("volumeClaimTemplates") && !gateway.contains("serviceName"), "{gateway}");
    assert!(gateway.contains("replicas: 3") && gateway.contains("name: kurir-session-key"), "{gateway}");
    assert!(part(&shared, "Secret", "kurir-session-key").is_some());
    let own = ["gateway.sessionStore=nats", "gateway.sessionKey.existingSecret=mine"];
    let own = rendered(&helm, &own);
    assert!(part(&own, "Secret", "kurir-session-key").is_none());
    assert!(part(&own, "Deployment", "kurir-gateway").is_some_and(|gateway| gateway.contains("name: mine")));

    let elsewhere =
        ["nats.enabled=false", "nats.url=nats://nats.example:4222", "webhookDispatcher.autoscaling.enabled=true"];
    let elsewhere = rendered(&helm, &elsewhere);
    assert!(part(&elsewhere, "StatefulSet", "kurir-nats").is_none());
    assert!(elsewhere.iter().any(|document| document.contains("kind: HorizontalPodAutoscaler")));
    assert!(elsewhere.iter().any(|document| document.contains("nats://nats.example:4222")));
}
