use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use kurir_test_harness::{Answer, Receiver, http, until};

use crate::SOON;

#[tokio::test]
async fn answers_come_in_order_and_then_200() {
    let receiver = Receiver::start().await;
    receiver.answers([500, 503]);
    receiver.answers([Answer::status(429).header("retry-after", "2").body("later")]);
    let client = http::client();
    let mut got = Vec::new();
    for _ in 0..4 {
        let answer = client.post(receiver.url()).send().await.unwrap();
        let retry_after = answer.headers().contains_key("retry-after");
        got.push((answer.status().as_u16(), retry_after, answer.text().await.unwrap()));
    }
    let expected = [
        (500, false, String::new()),
        (503, false, String::new()),
        (429, true, "later".to_owned()),
        (200, false, String::new()),
    ];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_request_is_recorded_whole_whether_it_has_a_length_or_comes_in_chunks() {
    let receiver = Receiver::start().await;
    let parts = ["{\"a\":", "1}"].map(Ok::<_, std::io::Error>);
    let chunked = reqwest::Body::wrap_stream(stream::iter(parts));
    let client = http::client();
    for body in [reqwest::Body::from("{\"a\":1}"), chunked] {
        let request = client.put(receiver.url()).header("Webhook-Id", "e1").body(body);
        request.send().await.unwrap();
    }
    let requests = receiver.wait_for(2, SOON).await;
    for request in &requests {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/webhook"));
        assert_eq!(request.header("webhook-id"), "e1");
        assert_eq!(request.json(), serde_json::json!({"a": 1}));
    }
    assert!(requests[0].at <= requests[1].at);
}

#[tokio::test]
async fn a_rule_answers_by_what_is_asked() {
    let receiver = Receiver::start().await;
    receiver.answer_with(|request| match request.path.as_str() {
        "/moved" => Answer::redirect("http://127.0.0.1/elsewhere"),
        "/slow" => Answer::status(204).slow(Duration::from_millis(300)),
        _ => Answer::status(404),
    });
    let client = http::client();
    let url = |path: &str| format!("http://{}{path}", receiver.addr());
    let moved = client.get(url("/moved")).send().await.unwrap();
    assert_eq!(moved.headers()["location"], "http://127.0.0.1/elsewhere");
    let began = Instant::now();
    assert_eq!(client.get(url("/slow")).send().await.unwrap().status(), 204);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.get(url("/")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_endless_answers_do_not_end() {
    let receiver = Receiver::start().await;
    let client = http::client();
    for (answer, has_head) in
        [(Answer::Hang, false), (Answer::DripHead, false), (Answer::Drip, true), (Answer::Flood, true)]
    {
        receiver.answers([answer.clone()]);
        let head = client.post(receiver.url()).send();
        let head = tokio::time::timeout(Duration::from_millis(500), head).await;
        assert_eq!(head.is_ok(), has_head, "{answer:?}");
        if let Ok(answered) = head {
            let mut bytes = 0;
            let body = answered.unwrap().bytes_stream().for_each(|part| {
                bytes += part.unwrap().len();
                std::future::ready(())
            });
            let ended = tokio::time::timeout(Duration::from_millis(500), body).await;
            assert!(ended.is_err(), "{answer:?} ended");
            assert!(bytes > 0, "{answer:?} sent no body");
        }
    }
    assert_eq!(receiver.count(), 4);
}

#[tokio::test]
async fn reset_and_garbage_are_errors_for_the_client_and_recorded() {
    let receiver = Receiver::start().await;
    for answer in [Answer::Reset, Answer::Garbage] {
        receiver.always(answer);
        let before = receiver.count();
        assert!(http::client().post(receiver.url()).send().await.is_err());
        assert!(receiver.count() > before);
    }
}

#[tokio::test]
async fn a_stopped_receiver_refuses_and_comes_back_at_the_same_place() {
    let mut receiver = Receiver::start().await;
    let url = receiver.url();
    // A new client each time has no connection from before that it could take for a living one.
    let post = || http::client().post(&url).send();
    post().await.unwrap();
    receiver.stop().await;
    assert!(post().await.unwrap_err().is_connect());
    receiver.start_again();
    post().await.unwrap();
    assert_eq!((receiver.url(), receiver.count()), (url, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_up_with_thousands_of_requests_a_second() {
    let receiver = Receiver::start().await;
    let client = http::client();
    let url = receiver.url();
    let began = Instant::now();
    stream::iter(0..5_000)
        .for_each_concurrent(64, |number| {
            let request = client.post(&url).body(number.to_string());
            async move { assert_eq!(request.send().await.unwrap().status(), 200) }
        })
        .await;
    // The bound is for a busy machine and an unoptimised client; it shows a receiver that queues.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    println!("5,000 requests in {:?}", began.elapsed());
    let bodies = receiver.wait_until("all numbers", SOON, |requests| requests.len() == 5_000).await;
    let mut numbers: Vec<u32> =
        bodies.iter().map(|request| String::from_utf8_lossy(&request.body).parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..5_000));
}

#[tokio::test]
async fn forgotten_requests_are_not_waited_for() {
    let receiver = Receiver::start().await;
    http::client().post(receiver.url()).send().await.unwrap();
    receiver.forget();
    assert_eq!(receiver.count(), 0);
    http::client().post(receiver.url()).send().await.unwrap();
    until("one request", SOON, || async { receiver.requests().len() == 1 }).await;
}
