//! Answers of receivers that are no clean 200: what each means, and that none of them costs the attempt's whole time.

use crate::stage::{SOON, Stage, bad_servers::BadServers, endpoints::NO_DEFAULT};
use kurir_contract::{delivery::AttemptResult, endpoint::EndpointId};
use kurir_test_harness::{Answer, Receiver, until};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};

const KEEPS: bool = false;
const CLOSES: bool = true;

#[tokio::test(flavor = "multi_thread")]
async fn the_status_decides_as_soon_as_it_can() {
    let stage = Stage::set().await;
    let mut servers = BadServers::default();
    let _dispatcher = stage.endpoints_dispatcher().await;
    let bomb = [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b".to_vec(), vec![0; 4 << 20]].concat();
    let mut expected = Vec::new();
    for (answer, closes, class) in [
        (&b"HTTP/1.1 429 Slow\r\nretry-after: 600\r\ncontent-length: 9\r\n\r\nwait"[..], KEEPS, "429"),
        (b"HTTP/1.1 429 Slow\r\nretry-after: 600\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwait\r\n", KEEPS, "429"),
        (b"HTTP/1.1 503 Busy\r\nretry-after: 600\r\n\r\nwait", KEEPS, "503"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", KEEPS, "503"),
        (b"HTTP/1.1 500 Error\r\ncontent-length: 900\r\n\r\nstack", KEEPS, "500"),
        (b"HTTP/1.1 500 Error\r\ncontent-length: 900\r\n\r\nstack", CLOSES, "500"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", KEEPS, "404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", KEEPS, "204"),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", KEEPS, "204"),
        (b"HTTP/1.1 205 Reset Content\r\n\r\n", KEEPS, "205"),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", KEEPS, "304"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", KEEPS, "101"),
        (b"HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 9\r\n\r\nxx", KEEPS, "301"),
        (
            b"HTTP/1.1 308 Moved\r\nlocation: https://elsewhere.example/secret\r\ncontent-length: 0\r\n\r\n",
            KEEPS,
            "308",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n",
            KEEPS,
            "202",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", KEEPS, "200"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", KEEPS, "200"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n",
            KEEPS,
            "200",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nok", CLOSES, "200"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", CLOSES, "reset"),
        (b"HTTP/1.1 200 OK\r\n", CLOSES, "reset"),
        (b"", CLOSES, "reset"),
        (b"HTTP/3 200 OK\r\n\r\n", CLOSES, "invalid"),
        (&bomb, KEEPS, "200"),
    ] {
        let port = servers.answer(answer, closes).await;
        let url = format!("http://127.0.0.1:{port}/");
        let id = stage.endpoint(json!({"url": url, "timeoutSeconds": 10, "retry": [600]})).await;
        expected.push((id, String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned(), class));
    }
    stage.publish("test", "evt_1").await;
    let mut wrong = Vec::new();
    for (id, answer, class) in &expected {
        let first = stage.recorded_of(id, 1).await.remove(0);
        let seen = match &first.result {
            AttemptResult::Failed { class, .. } => class.clone(),
            AttemptResult::Refused { status, .. } | AttemptResult::Delivered { status, .. } => status.to_string(),
            AttemptResult::Filtered { by } => by.clone(),
        };
        if seen != *class || first.duration_ms > 4_000 {
            wrong.push(format!("{answer:?}: {seen} after {} ms, not {class}", first.duration_ms));
        }
        let stored = serde_json::to_string(&first).unwrap();
        assert!(!stored.contains("secret"), "{stored}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `Retry-After` is counted from the answer's own date, and nonsense is no wish. No form of it costs an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_patience_is_heeded_in_each_form() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let date = |seconds: i64| {
        let now = SystemTime::now() + Duration::from_secs(86_400);
        let by = Duration::from_secs(seconds.unsigned_abs());
        // A receiver whose clock is a day ahead.
        httpdate(if seconds < 0 { now - by } else { now + by })
    };
    let mut endpoints = Vec::new();
    for (values, dated, least, most) in [
        (vec!["0".to_owned()], false, 0, 8),
        (vec!["-5".to_owned()], false, 0, 8),
        (vec!["soon".to_owned()], false, 0, 8),
        (vec!["4".to_owned()], false, 4, 12),
        (vec!["1".to_owned(), "5".to_owned()], false, 5, 13),
        (vec![date(5)], true, 4, 13),
        (vec![date(-500)], true, 0, 8),
    ] {
        let receiver = Receiver::start().await;
        let mut refusal = values.iter().fold(Answer::status(429), |answer, value| answer.header("retry-after", value));
        if dated {
            refusal = refusal.header("date", &date(0));
        }
        receiver.answers([refusal]);
        let id = stage.endpoint(json!({"url": receiver.url(), "retry": []})).await;
        endpoints.push((id, receiver, values, least, most));
    }
    stage.publish("test", "evt_1").await;
    for (_, receiver, values, least, most) in &endpoints {
        let requests = receiver.wait_for(2, SOON).await;
        let waited = requests[1].at - requests[0].at;
        let (least, most) = (Duration::from_secs(*least), Duration::from_secs(*most));
        assert!(waited + Duration::from_millis(300) >= least && waited < most, "{values:?}: {waited:?}");
    }
    let ids: Vec<&EndpointId> = endpoints.iter().map(|(id, ..)| id).collect();
    stage.all_settled(&ids, SOON).await;
    assert!(stage.dead_letters().await.is_empty());
}

fn httpdate(at: SystemTime) -> String {
    let at = time::OffsetDateTime::from(at);
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(format).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_made_again_under_its_id_begins_anew() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    let id = EndpointId::random();
    for ordering in ["none", "chat"] {
        let (first, second) = (Receiver::start().await, Receiver::start().await);
        first.always(500_u16);
        let settings = |receiver: &Receiver| json!({"url": receiver.url(), "ordering": ordering, "retry": [2, 2, 2]});
        stage.endpoint_named(&id, settings(&first)).await;
        stage.publish("test", &format!("evt_old_{ordering}")).await;
        first.wait_for(1, SOON).await;
        stage.delete(&id).await;
        stage.endpoint_named(&id, settings(&second)).await;
        stage.publish("test", &format!("evt_new_{ordering}")).await;
        let new = format!("evt_new_{ordering}");
        second
            .wait_until("the new event", SOON, |requests| {
                requests.iter().any(|request| request.header("webhook-id") == new)
            })
            .await;
        let began = Instant::now();
        until("the old retries to have come, if there were any", SOON, || async {
            began.elapsed() > Duration::from_secs(5)
        })
        .await;
        assert!(second.requests().iter().all(|request| request.header("webhook-id") == new), "{ordering}");
        stage.delete(&id).await;
    }
}
