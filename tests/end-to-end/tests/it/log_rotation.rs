//! Log files under load: a file that logrotate moved away is opened again at SIGHUP, nothing ends, nothing is lost, and what
//! is kept has a bound.

use crate::expect::text;
use kurir_test_harness::{Process, Stack, stack::SOON, until};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const NUMBER: &str = "6281234567890";
const MESSAGES: usize = 60;
const LOG: &str = "service.log";

fn log_of(service: &Process) -> PathBuf {
    service.folder().join(LOG)
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reopens_the_log_of_every_service_under_load_and_nothing_is_lost() {
    let plan = Stack::plan().gateway("LOG_FILE", LOG).dispatcher("LOG_FILE", LOG).api("LOG_FILE", LOG);
    let plan = plan.gateway("LOG_LEVEL", "debug").dispatcher("LOG_LEVEL", "debug").api("LOG_LEVEL", "debug");
    let mut stack = plan.start().await;
    let mut moved = Vec::new();
    for number in 0..MESSAGES {
        stack.simulator.contact_sends(NUMBER, json!({"text": format!("message {number}")})).await;
        if number % 20 == 10 {
            // As logrotate does it, while messages are on their way.
            let services = [&mut stack.api.process, &mut stack.gateway].into_iter().chain(&mut stack.dispatchers);
            for service in services {
                let (log, away) = (log_of(service), service.folder().join(format!("{LOG}.{number}")));
                fs::rename(&log, &away).unwrap_or_else(|error| panic!("{}: {error}", service.name()));
                service.signal("HUP");
                until(format!("{} to open its log again", service.name()), SOON, || async { log.exists() }).await;
                assert!(service.is_running(), "{} ended at SIGHUP", service.name());
                moved.push(away);
            }
        }
    }
    let expected: BTreeSet<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    until("every message to be delivered", SOON * 2, || async {
        let bodies = stack.receiver.requests().into_iter().map(|request| request.json());
        let seen: BTreeSet<String> =
            bodies.filter(|body| body["event"] == "message.received").map(|body| text(&body).to_owned()).collect();
        if seen == expected { Ok(()) } else { Err(expected.difference(&seen).cloned().collect::<Vec<_>>()) }
    })
    .await;
    stack.settled().await;
    // Each service writes on, into its new file and no other.
    let sizes: Vec<u64> = moved.iter().map(|file| size(file)).collect();
    let (status, _) = stack.api.post("/api/whatsapp/send-message", json!({"to": NUMBER, "message": "after"})).await;
    assert_eq!(status, 200);
    for service in [&stack.api.process, &stack.gateway].into_iter().chain(&stack.dispatchers) {
        let log = log_of(service);
        until(format!("{} to write into its new log", service.name()), SOON, || async { size(&log) > 0 }).await;
    }
    assert_eq!(moved.iter().map(|file| size(file)).collect::<Vec<_>>(), sizes, "a log that was moved away grew");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_logs_keep_has_a_bound() {
    let bounds = [("LOG_FILE", LOG), ("LOG_LEVEL", "debug"), ("LOG_MAX_SIZE", "20kB"), ("LOG_KEEP", "2")];
    let plan = bounds.iter().fold(Stack::plan(), |plan, (name, value)| plan.dispatcher(name, value));
    let stack = plan.start().await;
    let folder = stack.dispatchers[0].folder().to_owned();
    let logs = || {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let is_log = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG));
        files.filter(is_log).collect::<Vec<_>>()
    };
    let mut sent = 0;
    while logs().len() < 3 {
        assert!(sent < 2_000, "the log was never rotated: {:?}", logs());
        stack.api.post("/api/webhook/send", json!({"eventType": "custom.event", "data": {"number": sent}})).await;
        sent += 1;
    }
    for number in 0..100 {
        stack.api.post("/api/webhook/send", json!({"eventType": "custom.event", "data": {"number": number}})).await;
    }
    let kept = logs();
    assert_eq!(kept.len(), 3, "the file and two older ones: {kept:?}");
    let total: u64 = kept.iter().map(|file| size(file)).sum();
    // A line may go beyond the bound of its file.
    assert!(total < 3 * 24 * 1024, "{total} bytes are kept");
    stack.finish().await;
}
