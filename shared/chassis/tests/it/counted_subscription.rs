//! A service leaves a queue group while many ask: each request is answered, or NATS says that nobody is there.

use crate::{SOON, connect};
use async_nats::{Request, client::RequestErrorKind};
use kurir_chassis::counted_subscription::CountedSubscription;
use kurir_test_harness::Nats;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const SUBJECT: &str = "whatsapp.commands.test.status";
const CALLERS: usize = 50;
const TIMES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_among_many_callers_answers_all_of_them() {
    let nats = Nats::start().await;
    for _ in 0..TIMES {
        let server = connect(&nats).await.client;
        let mut queue = CountedSubscription::join(&server, SUBJECT.to_owned(), "test").await.unwrap();
        server.flush().await.unwrap();
        let client = nats.client().await;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let client = client.clone();
            callers.spawn(async move {
                loop {
                    let request = Request::new().payload("{}".into()).timeout(Some(SOON));
                    match client.send_request(SUBJECT, request).await {
                        Ok(_) => {}
                        Err(error) if error.kind() == RequestErrorKind::NoResponders => return,
                        Err(error) => panic!("a request was not answered: {error}"),
                    }
                }
            });
        }
        for _ in 0..CALLERS * 20 {
            let request = queue.next().await.unwrap();
            server.publish(request.reply.unwrap(), "{}".into()).await.unwrap();
        }
        let mut last = queue.leave();
        while let Some(request) = last.next().await {
            server.publish(request.reply.unwrap(), "{}".into()).await.unwrap();
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
    }
}

#[tokio::test]
async fn who_leaves_while_nobody_asks_is_gone_at_once() {
    let nats = Nats::start().await;
    let server = connect(&nats).await.client;
    let queue = CountedSubscription::join(&server, SUBJECT.to_owned(), "test").await.unwrap();
    let begun = Instant::now();
    assert!(queue.leave().next().await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let answer = nats.client().await.request(SUBJECT, "{}".into()).await;
    assert_eq!(answer.unwrap_err().kind(), RequestErrorKind::NoResponders);
}
