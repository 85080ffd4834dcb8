use std::time::Duration;

use kurir_test_harness::{NetworkCable, Receiver, http, until};

use crate::SOON;

#[tokio::test]
async fn a_cable_passes_requests_until_it_is_cut_and_again_when_mended() {
    let receiver = Receiver::start().await;
    let mut cable = NetworkCable::to(receiver.addr());
    let url = format!("http://{}/", cable.addr());
    let client = http::client();
    // A new client has no connection from before that it could take for a living one.
    let connects_anew = || http::client().get(&url).send();

    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    assert_eq!((cable.connections(), cable.connections_made()), (1, 1));

    cable.cut().await;
    assert_eq!(cable.connections(), 0);
    assert!(connects_anew().await.unwrap_err().is_connect());

    cable.mend();
    assert_eq!(connects_anew().await.unwrap().status(), 200);
    assert_eq!(cable.connections_made(), 2);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_frozen_cable_holds_a_request_back_without_an_end() {
    let receiver = Receiver::start().await;
    let mut cable = NetworkCable::to(receiver.addr());
    let url = format!("http://{}/", cable.addr());
    let client = http::client();
    client.get(&url).send().await.unwrap();

    cable.freeze();
    let mut held = Box::pin(client.get(&url).send());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut held).await;
    assert!(early.is_err(), "nothing passes: {early:?}");
    assert_eq!((receiver.count(), cable.connections()), (1, 1));

    cable.mend();
    assert_eq!(held.await.unwrap().status(), 200);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_cable_to_nowhere_ends_its_connections() {
    let mut receiver = Receiver::start().await;
    let cable = NetworkCable::to(receiver.addr());
    receiver.stop().await;
    let url = format!("http://{}/", cable.addr());
    assert!(http::client().get(&url).send().await.is_err());
    until("no open connection", SOON, || async { cable.connections() == 0 }).await;
}

#[tokio::test]
async fn a_slow_cable_passes_everything_later() {
    let receiver = Receiver::start().await;
    let mut cable = NetworkCable::to(receiver.addr());
    let url = format!("http://{}/", cable.addr());
    let delay = Duration::from_millis(200);
    cable.slow(delay);
    let begun = std::time::Instant::now();
    assert_eq!(http::client().get(&url).send().await.unwrap().status(), 200);
    // The request and the answer, each at least one portion.
    assert!(begun.elapsed() >= delay * 2, "{:?}", begun.elapsed());
}
