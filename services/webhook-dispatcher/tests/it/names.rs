//! Names are resolved as the system of the dispatcher resolves them.
//!
//! Each test gives its dispatcher a hosts file, a `resolv.conf` and a name server of its own. That needs the rights to
//! mount and to serve port 53; where they are missing, the tests say SKIPPED.

use crate::stage::{SOON, Stage, dns_server::DnsServer, endpoints::NO_DEFAULT};
use kurir_contract::delivery::AttemptResult;
use kurir_test_harness::Process;
use serde_json::json;
use std::{fs, path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

struct NameFiles {
    _folder: TempDir,
    hosts: PathBuf,
    resolv_conf: PathBuf,
}

impl NameFiles {
    fn new(hosts: &str, resolv_conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self {
            hosts: folder.path().join("hosts"),
            resolv_conf: folder.path().join("resolv.conf"),
            _folder: folder,
        };
        fs::write(&files.hosts, hosts).unwrap();
        fs::write(&files.resolv_conf, resolv_conf).unwrap();
        files
    }

    /// A dispatcher that sees these files, ready.
    async fn dispatcher(&self, stage: &Stage) -> Process {
        let (hosts, resolv_conf) = (self.hosts.display(), self.resolv_conf.display());
        let mounts = format!("mount --bind '{hosts}' /etc/hosts && mount --bind '{resolv_conf}' /etc/resolv.conf");
        let mut dispatcher = stage.start_in_namespace(&mounts, [NO_DEFAULT]);
        dispatcher.wait_ready(SOON).await;
        dispatcher
    }
}

/// A name server at an address of the test's own. None: this machine does not allow the test.
async fn name_server(ip: &str) -> Option<DnsServer> {
    let can_mount = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    let server = if can_mount { DnsServer::start(ip).await } else { None };
    if server.is_none() {
        println!("SKIPPED: it needs the rights to mount and to serve port 53");
    }
    server
}

fn is_connect_failure(result: &AttemptResult) -> bool {
    matches!(result, AttemptResult::Failed { phase: Some(phase), .. } if **phase == *"connect")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_hosts_file_leads_nowhere_else_and_a_change_of_it_counts_at_once() {
    let Some(dns) = name_server("127.53.0.1").await else { return };
    let stage = Stage::set().await;
    dns.answer("hooks.test", "127.0.0.1");
    dns.answer("hooks.test.search.test", "127.0.0.1");
    let files = NameFiles::new("127.0.0.7 hooks.test\n", "nameserver 127.53.0.1\nsearch search.test\n");
    let _dispatcher = files.dispatcher(&stage).await;
    let url = format!("http://hooks.test:{}/webhook", stage.receiver.addr().port());
    let id = stage.endpoint(json!({"url": url, "retry": [1, 1, 1]})).await;
    stage.publish("test", "evt_1").await;
    let first = stage.recorded_of(&id, 1).await.remove(0);
    assert!(is_connect_failure(&first.result), "{first:?}");
    assert_eq!(stage.receiver.count(), 0, "it went to where DNS leads");
    fs::write(&files.hosts, "127.0.0.1 hooks.test\n").unwrap();
    stage.receiver.wait_for(1, SOON).await;
    // And away again: a connection that is open is not used any more.
    fs::write(&files.hosts, "127.0.0.7 hooks.test\n").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.publish("test", "evt_2").await;
    let attempts = stage.recorded_of(&id, 3).await;
    assert!(is_connect_failure(&attempts.iter().find(|one| one.event_id.as_str() == "evt_2").unwrap().result));
    assert_eq!(stage.receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_the_system_finds_are_found() {
    let Some(dns) = name_server("127.53.0.2").await else { return };
    let stage = Stage::set().await;
    for name in ["n8n_app.compose.test", "_service.example.test", "plain.example.test"] {
        dns.answer(name, "127.0.0.1");
    }
    dns.drop_aaaa();
    let files = NameFiles::new("127.0.0.1 bare_name\n", "nameserver 127.53.0.2\nsearch compose.test\n");
    let _dispatcher = files.dispatcher(&stage).await;
    let port = stage.receiver.addr().port();
    let mut endpoints = Vec::new();
    for host in ["n8n_app", "_service.example.test", "PLAIN.example.test.", "bare_name"] {
        endpoints.push(stage.endpoint(json!({"url": format!("http://{host}:{port}/webhook"), "retry": []})).await);
    }
    stage.publish("test", "evt_1").await;
    for id in &endpoints {
        let first = stage.recorded_of(id, 1).await.remove(0);
        assert!(matches!(first.result, AttemptResult::Delivered { .. }), "{first:?}");
        assert!(first.duration_ms < 3_000, "it waited for the answer that was dropped: {first:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_name_servers_stop_no_name_of_the_hosts_file_and_new_ones_are_noticed() {
    let Some(silent) = name_server("127.53.0.3").await else { return };
    let Some(dns) = name_server("127.53.0.4").await else { return };
    let stage = Stage::set().await;
    silent.go_silent();
    dns.answer("later.test", "127.0.0.1");
    let files = NameFiles::new("127.0.0.1 known.test\n", "nameserver 127.53.0.3\noptions timeout:1 attempts:1\n");
    let _dispatcher = files.dispatcher(&stage).await;
    let port = stage.receiver.addr().port();
    let url = |host: &str| format!("http://{host}:{port}/webhook");
    for number in 0..100 {
        let nowhere = url(&format!("{number}.silent.test"));
        stage.endpoint(json!({"url": nowhere, "retry": [600], "timeoutSeconds": 5})).await;
    }
    let later = stage.endpoint(json!({"url": url("later.test"), "retry": [4, 4, 4], "timeoutSeconds": 3})).await;
    let known = stage.endpoint(json!({"url": url("known.test"), "retry": []})).await;
    stage.publish("test", "evt_1").await;
    let first = stage.recorded_of(&known, 1).await.remove(0);
    assert!(matches!(first.result, AttemptResult::Delivered { .. }), "{first:?}");
    assert!(first.duration_ms < 3_000, "{first:?}");
    let first = stage.recorded_of(&later, 1).await.remove(0);
    let phase = |result: &AttemptResult| match result {
        AttemptResult::Failed { phase, .. } => phase.as_deref().map(str::to_owned),
        _ => None,
    };
    assert_eq!(phase(&first.result).as_deref(), Some("dns"), "{first:?}");
    fs::write(&files.resolv_conf, "nameserver 127.53.0.4\n").unwrap();
    stage.receiver.wait_for(2, Duration::from_secs(30)).await;
}
