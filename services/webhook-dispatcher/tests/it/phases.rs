//! A failed attempt names the step that failed, alike in its record, in the log and in the metrics.

use crate::stage::{SOON, Stage, bad_servers::BadServers, endpoints::NO_DEFAULT, tls::Authority};
use kurir_contract::delivery::AttemptResult;
use kurir_test_harness::{Answer, Port, Receiver, http, until};
use serde_json::json;
use std::future::pending;
use time::OffsetDateTime;

/// An event that fills the window of an HTTP/2 stream, and is still one message of NATS.
const LARGE: usize = 700 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_names_its_step_alike_in_the_record_the_log_and_the_metrics() {
    let (stage, mut servers) = (Stage::set().await, BadServers::default());
    let (authority, foreign) = (Authority::new(), Authority::new());
    let (file, metrics) = (authority.file(), Port::reserve());
    let listen = metrics.addr().to_string();
    let mut dispatcher = stage
        .dispatcher_with([
            NO_DEFAULT,
            ("WEBHOOK_CA_FILE", file.path().to_str().unwrap()),
            ("HEALTH_LISTEN", listen.as_str()),
            ("LOG_FORMAT", "json"),
        ])
        .await;

    let closed = Port::reserve();
    let silent = servers.answer(b"", false).await;
    // The head of a record of a handshake, whose rest never comes.
    let begins = servers.answer(b"\x16\x03\x03\x00\x7a\x02", false).await;
    let closes = servers.answer(b"", true).await;
    let speaks_http = servers.answer(b"HTTP/1.1 400 Bad\r\n\r\n", true).await;
    let half_head = servers.answer(b"HTTP/1.1 200 OK\r\nx-", false).await;
    let interim = servers.answer(b"HTTP/1.1 102 Processing\r\n\r\n", false).await;
    let short = servers.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", true).await;
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok";
    let chunked = servers.answer(chunked, true).await;
    let drips = Receiver::start().await;
    drips.always(Answer::Drip);

    let long_ago = OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap();
    let mut serve_tls = async |acceptor: tokio_rustls::TlsAcceptor| {
        let serve = move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                // The stream is held, and nothing on it is read beyond what TLS reads.
                let _stream = acceptor.accept(tcp).await;
                pending::<()>().await;
            }
        };
        servers.start(serve).await
    };
    let expired = serve_tls(authority.acceptor_with(&["localhost"], &["h2"], |certificate| {
        certificate.not_before = long_ago;
        certificate.not_after = long_ago + time::Duration::days(1);
    }))
    .await;
    let wrong_name = serve_tls(authority.acceptor("elsewhere.example", &["h2"])).await;
    let unknown = serve_tls(foreign.acceptor("localhost", &["h2"])).await;
    let takes_nothing = serve_tls(authority.acceptor("localhost", &["h2"])).await;
    let by_address = serve_tls(authority.acceptor("127.0.0.1", &["http/1.1"])).await;

    let mut expected = Vec::new();
    for (url, phase) in [
        ("http://nowhere.invalid/".to_owned(), "dns"),
        ("https://nowhere.invalid/".to_owned(), "dns"),
        (format!("http://{}/", closed.addr()), "connect"),
        (format!("https://{}/", closed.addr()), "connect"),
        (format!("https://127.0.0.1:{silent}/"), "tls"),
        // This name may have a second address, on which nobody listens.
        (format!("https://localhost:{silent}/"), "tls"),
        (format!("https://localhost:{begins}/"), "tls"),
        (format!("https://localhost:{closes}/"), "tls"),
        (format!("https://localhost:{speaks_http}/"), "tls"),
        (format!("https://localhost:{expired}/"), "tls"),
        (format!("https://localhost:{wrong_name}/"), "tls"),
        (format!("https://localhost:{unknown}/"), "tls"),
        (format!("https://localhost:{by_address}/"), "tls"),
        (format!("https://localhost:{takes_nothing}/"), "send"),
        (format!("https://127.0.0.1:{by_address}/"), "response_head"),
        (format!("http://127.0.0.1:{silent}/"), "response_head"),
        (format!("http://127.0.0.1:{closes}/"), "response_head"),
        (format!("http://127.0.0.1:{half_head}/"), "response_head"),
        (format!("http://127.0.0.1:{interim}/"), "response_head"),
        (format!("http://127.0.0.1:{short}/"), "response_body"),
        (format!("http://127.0.0.1:{chunked}/"), "response_body"),
        (drips.url(), "response_body"),
    ] {
        let kind = if phase == "send" { "message.received" } else { "test" };
        let settings = json!({"url": url, "timeoutSeconds": 3, "retry": [600], "events": [kind]});
        expected.push((stage.endpoint(settings).await, url, phase));
    }
    // Several at once: over TLS they wait for the connection that the first one makes.
    for number in 0..3 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let large = json!({"text": ".".repeat(LARGE)});
    stage.store("default", "message.received", "evt_large", large).await;
    let mut wrong = Vec::new();
    for (id, url, phase) in &expected {
        for attempt in stage.recorded_of(id, 1).await {
            match &attempt.result {
                AttemptResult::Failed { phase: Some(seen), .. } if **seen == **phase => {}
                other => wrong.push(format!("{url}: {other:?}, not {phase}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (id, url, phase) in &expected {
        let line =
            dispatcher.wait_for_line(|line| line.contains("attempt 1 failed") && line.contains(id.as_str()), SOON);
        let line = line.await;
        assert!(line.contains(&format!(r#""failure.phase":"{phase}""#)), "{url}: {line}");
        let counted = format!(r#"kurir_webhook_missing_answers_total{{endpoint="{id}",phase=""#);
        until(format!("the metric of {url}"), SOON, || async {
            let text = http::client().get(format!("http://{listen}/metrics")).send().await.unwrap().text().await;
            let text = text.unwrap();
            let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&counted)).collect();
            if matches!(lines[..], [only] if only.starts_with(phase)) { Ok(()) } else { Err(lines.join(" ")) }
        })
        .await;
    }
}
