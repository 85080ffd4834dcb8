//! The alerts and the board that Kurir ships: every metric they name is served by a running stack, and Prometheus takes the rules.

use kurir_test_harness::{Port, Receiver, Stack, binaries::repository, http, until};
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command, time::Duration};

const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// What is counted only when something goes wrong; a metric without any series is not served.
const ONLY_IN_TROUBLE: [&str; 10] = [
    "kurir_send_seconds_bucket",
    "kurir_session_restricted",
    "kurir_stream_max_bytes",
    "kurir_api_certificate_expiry_timestamp_seconds",
    "kurir_session_silences_total",
    "kurir_events_truncated_total",
    "kurir_webhook_missing_answers_total",
    "kurir_webhook_dead_letters_total",
    "kurir_session_phone_last_seen_timestamp_seconds",
    "kurir_sends_total",
];

/// The names of Kurir's metrics in a text.
fn metric_names(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c: char| !is_of_a_name(c)).filter(|word| word.starts_with("kurir_")).map(str::to_owned).collect()
}

fn shipped(file: &str) -> String {
    fs::read_to_string(repository().join("deploy/observability").join(file)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alerts_and_the_board_is_served() {
    let ports = [(); 2].map(|()| Port::reserve());
    let listen = ports.each_ref().map(|port| port.addr().to_string());
    let plan = Stack::plan().gateway("HEALTH_LISTEN", &listen[0]).dispatcher("HEALTH_LISTEN", &listen[1]);
    let stack = plan.start().await;
    let (status, _) = stack.api.get("/api/whatsapp/status").await;
    assert_eq!(status, 200);
    let pages =
        [format!("http://{}/metrics", listen[0]), format!("http://{}/metrics", listen[1]), stack.api.url("/metrics")];

    let mut named = metric_names(&shipped("rules.yml"));
    named.extend(metric_names(&shipped("grafana/boards/kurir.json")));
    assert!(named.len() > 15, "{named:?}");
    for name in ONLY_IN_TROUBLE {
        named.remove(name);
    }
    until("every metric to be served", SERVED_WITHIN, || async {
        let mut served = BTreeSet::new();
        for page in &pages {
            let text = http::client().get(page).send().await.map_err(|error| error.to_string())?.text().await;
            served.extend(metric_names(&text.map_err(|error| error.to_string())?));
        }
        let missing: Vec<_> = named.difference(&served).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {served:?}")) }
    })
    .await;
    stack.finish().await;
}

/// The value of a series on a page with metrics.
fn value_of(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line[series.len()..].split_whitespace().next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_counted_traces_stand_beside_buckets_and_a_collector_gets_it_all() {
    const WAITING: &str = "kurir_webhook_waiting_events{endpoint=\"default\"}";
    const OLDEST: &str = "kurir_webhook_oldest_waiting_seconds{endpoint=\"default\"}";
    const DELIVERED: &str = "kurir_webhook_delivery_seconds_count";
    // What waits is counted every 15 s.
    const COUNTED_WITHIN: Duration = Duration::from_secs(60);
    let (collector, listen) = (Receiver::start().await, Port::reserve());
    let (address, endpoint) = (listen.addr().to_string(), format!("http://{}", collector.addr()));
    let mut plan = Stack::plan().dispatcher("HEALTH_LISTEN", &address);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ] {
        plan = plan.gateway(name, value).dispatcher(name, value).api(name, value);
    }
    let mut stack = plan.start().await;
    let metrics = format!("http://{address}/metrics");
    let page = async || http::client().get(&metrics).send().await.unwrap().text().await.unwrap();
    stack.receiver.stop().await;
    for number in 0..3 {
        stack.simulator.contact_writes("6281234567890", &format!("waiting {number}")).await;
    }
    until("three events to wait", COUNTED_WITHIN, || async {
        let page = page().await;
        let (waiting, oldest) = (value_of(&page, WAITING), value_of(&page, OLDEST));
        if waiting >= Some(3.0) && oldest >= Some(1.0) { Ok(()) } else { Err((waiting, oldest)) }
    })
    .await;
    stack.receiver.start_again();
    until("nothing to wait", COUNTED_WITHIN, || async {
        let page = page().await;
        let (waiting, delivered) = (value_of(&page, WAITING), value_of(&page, DELIVERED));
        if waiting == Some(0.0) && delivered >= Some(3.0) { Ok(()) } else { Err((waiting, delivered)) }
    })
    .await;
    let page = page().await;
    assert_eq!(value_of(&page, OLDEST), Some(0.0));
    let example = page
        .lines()
        .find(|line| line.starts_with("kurir_webhook_delivery_seconds_bucket") && line.contains("# {trace_id=\""));
    let trace = example.and_then(|line| line.split("trace_id=\"").nth(1)).map(|rest| rest[..32].to_owned());
    assert!(trace.is_some(), "{page}");

    until("the metrics of all services at the collector", COUNTED_WITHIN, || async {
        let pushed = collector.requests().into_iter().filter(|request| request.path == "/v1/metrics");
        let pushed: Vec<Value> = pushed.map(|request| request.json()).collect();
        let of = |service: &str, metric: &str| {
            pushed.iter().any(|body| {
                let body = body.to_string();
                body.contains(&format!("\"{service}\"")) && body.contains(&format!("\"{metric}\""))
            })
        };
        let wanted = [
            ("kurir-gateway", "kurir_events_published"),
            ("kurir-webhook-dispatcher", "kurir_webhook_waiting_events"),
            ("kurir-api", "kurir_api_request_seconds"),
        ];
        let missing: Vec<_> = wanted.into_iter().filter(|(service, metric)| !of(service, metric)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    stack.finish().await;
}

#[test]
fn every_alert_has_a_runbook() {
    let runbooks = fs::read_to_string(repository().join("docs/runbooks.md")).unwrap();
    let rules = shipped("rules.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(runbooks.contains(&format!("## {alert}\n")), "docs/runbooks.md does not explain {alert}");
        assert!(rules.contains(&format!("docs/runbooks.md#{}\n", alert.to_lowercase())), "{alert} names no runbook");
    }
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_when_they_should() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no promtool here (Debian: prometheus), so the alerts were not tried");
        return;
    }
    let folder = repository().join("deploy/observability");
    for arguments in [
        &["check", "rules", "rules.yml"][..],
        &["test", "rules", "rules.test.yml"],
        &["check", "config", "--syntax-only", "prometheus.yml"],
    ] {
        let done = Command::new("promtool").args(arguments).current_dir(&folder).output().unwrap();
        let said = [done.stdout, done.stderr].map(|out| String::from_utf8_lossy(&out).into_owned()).concat();
        assert!(done.status.success(), "promtool {arguments:?}: {said}");
    }
}

#[test]
fn compose_takes_every_file() {
    let compose = ["docker-compose", "/usr/bin/docker-compose"];
    let Some(program) = compose.into_iter().find(|program| Command::new(program).arg("version").output().is_ok())
    else {
        eprintln!("SKIPPED: no docker-compose here, so the compose files were not read");
        return;
    };
    for more in [vec![], vec!["cluster"], vec!["observability"], vec!["cluster", "observability"]] {
        let files = ["docker-compose.yml".to_owned()].into_iter();
        let files = files
            .chain(more.iter().map(|name| format!("deploy/compose/{name}.yml")))
            .flat_map(|file| ["-f".to_owned(), file]);
        let done = Command::new(program)
            .args(files)
            .args(["config"])
            .current_dir(repository())
            .envs([("API_KEY", "a-key-of-sixteen-characters"), ("GRAFANA_PASSWORD", "secret")])
            .output()
            .unwrap();
        assert!(done.status.success(), "{more:?}: {}", String::from_utf8_lossy(&done.stderr));
        let config = String::from_utf8_lossy(&done.stdout).into_owned();
        if more.contains(&"cluster") {
            assert!(config.contains("nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222"), "{config}");
        }
    }
}
