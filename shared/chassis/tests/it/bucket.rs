//! Reading and writing a KV bucket, with a real broker that goes away and with clients that write the same key.

use crate::{SOON, connect, settings};
use bytes::Bytes;
use kurir_chassis::{
    broker::{Broker, BrokerSettings},
    bucket::{Bucket, BucketError},
};
use kurir_contract::session_record::SESSIONS_BUCKET;
use kurir_test_harness::{Nats, until};
use std::time::Duration;
use tokio::time::Instant;

const NAME: &str = "numbers";

fn json(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_value_is_read_back_until_it_is_deleted() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    assert_eq!(bucket.get("one").await.unwrap(), None);
    assert!(bucket.entries().await.unwrap().is_empty());
    assert!(bucket.keys().await.unwrap().is_empty());

    let revision = bucket.create("one", json("1")).await.unwrap();
    assert_eq!(bucket.get_json::<u8>("one").await.unwrap(), Some((1, revision)));
    let revision = bucket.put("one", json("11")).await.unwrap();
    assert_eq!(bucket.get_json::<u8>("one").await.unwrap(), Some((11, revision)));
    bucket.put("two", json("2")).await.unwrap();
    assert_eq!(bucket.keys().await.unwrap(), ["one", "two"]);
    bucket.delete("one").await.unwrap();
    bucket.delete("never").await.unwrap();

    assert_eq!(bucket.get("one").await.unwrap(), None);
    assert_eq!(bucket.entries().await.unwrap().into_iter().collect::<Vec<_>>(), [("two".to_owned(), json("2"))]);
    assert!(bucket.key_count_bound().await.unwrap() >= 1);
    bucket.purge("two").await.unwrap();
    assert!(bucket.entries().await.unwrap().is_empty());
    bucket.create("one", json("1")).await.unwrap();
}

#[tokio::test]
async fn reading_a_whole_bucket_leaves_nothing_in_nats() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    bucket.put("one", json("1")).await.unwrap();
    for _ in 0..20 {
        assert_eq!(bucket.entries().await.unwrap().len(), 1);
        assert_eq!(bucket.keys().await.unwrap(), ["one"]);
    }
    let jetstream = nats.jetstream().await;
    // Shorter than the half minute after which NATS would forget them by itself.
    until("no consumer", Duration::from_secs(10), async || {
        let stream = jetstream.get_stream(format!("KV_{NAME}")).await.unwrap();
        match stream.cached_info().state.consumer_count {
            0 => Ok(()),
            count => Err(count),
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_over_what_another_client_has_changed_is_a_conflict() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    let seen = bucket.create("one", json("1")).await.unwrap();
    assert!(bucket.create("one", json("2")).await.unwrap_err().is_conflict());
    bucket.put("one", json("3")).await.unwrap();
    assert!(bucket.update("one", json("4"), seen).await.unwrap_err().is_conflict());
    bucket.purge_revision("one", seen).await.unwrap_err();
    let now = bucket.get("one").await.unwrap().unwrap();
    assert_eq!(now.value, "3");
    bucket.purge_revision("one", now.revision).await.unwrap();
    assert_eq!(bucket.get("one").await.unwrap(), None);
}

#[tokio::test]
async fn changes_of_many_clients_at_once_are_all_kept() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    let clients = 4;
    let counting = (0..clients).map(|_| {
        let bucket = bucket.clone();
        tokio::spawn(async move { bucket.change_value("count", |count| Some(count.unwrap_or(0) + 1)).await })
    });
    for counted in counting.collect::<Vec<_>>() {
        counted.await.unwrap().unwrap();
    }
    assert_eq!(bucket.get_json::<u64>("count").await.unwrap().unwrap().0, clients);
    assert_eq!(bucket.change_value::<u64>("count", |_| None).await.unwrap(), None);
    assert_eq!(bucket.get_json::<u64>("count").await.unwrap().unwrap().0, clients);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_always_loses_is_a_conflict() {
    let nats = Nats::start().await;
    let broker = connect(&nats).await;
    let bucket = Bucket::new(broker.clone(), NAME);
    bucket.create("one", json("0")).await.unwrap();
    let store = bucket.open().await.unwrap();
    let error = bucket
        .change_value("one", |value: Option<u64>| {
            // Another client writes between the read and the write, each time.
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(store.put("one", json("7"))).unwrap();
            });
            value.map(|value| value + 1)
        })
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(bucket.get("one").await.unwrap().unwrap().value, "7");
}

#[tokio::test]
async fn a_key_that_no_bucket_takes_is_not_there_and_not_written() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    for key in ["", "a b", ".a", "a.", "*", ">", "ä", "a\r\nb"] {
        assert_eq!(bucket.get(key).await.unwrap(), None, "{key:?}");
        for error in [
            bucket.create(key, json("1")).await.unwrap_err(),
            bucket.update(key, json("1"), 1).await.unwrap_err(),
            bucket.put(key, json("1")).await.unwrap_err(),
            bucket.delete(key).await.unwrap_err(),
        ] {
            assert!(matches!(error, BucketError::Refused { .. }), "{key:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_value_that_is_no_json_is_unreadable() {
    let nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    bucket.put("one", json("{")).await.unwrap();
    let error = bucket.get_json::<u64>("one").await.unwrap_err();
    assert!(matches!(error, BucketError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_value_of_an_expiring_bucket_vanishes() {
    let nats = Nats::start().await;
    let bucket = Bucket::expiring(connect(&nats).await, NAME, Duration::from_secs(1));
    bucket.put("one", json("1")).await.unwrap();
    until("the end of the value", SOON, || async {
        match bucket.get("one").await.unwrap() {
            None => Ok(()),
            Some(entry) => Err(entry),
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_while_the_broker_is_away() {
    let mut nats = Nats::start().await;
    let broker = connect(&nats).await;
    let bucket = Bucket::new(broker.clone(), NAME);
    bucket.put("one", json("1")).await.unwrap();
    nats.stop().await;
    until("the lost connection", SOON, || async { if broker.is_connected() { Err("connected") } else { Ok(()) } })
        .await;
    let errors = [
        bucket.get("one").await.unwrap_err(),
        bucket.put("one", json("2")).await.unwrap_err(),
        bucket.update("one", json("2"), 1).await.unwrap_err(),
        bucket.create("two", json("2")).await.unwrap_err(),
        bucket.delete("one").await.unwrap_err(),
        bucket.entries().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, BucketError::Unavailable { .. }), "{error}");
    }
    nats.start_again().await;
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    assert_eq!(bucket.entries().await.unwrap().into_iter().collect::<Vec<_>>(), [("one".to_owned(), json("1"))]);
}

#[tokio::test]
async fn every_call_ends_within_the_promise_of_the_api() {
    let mut nats = Nats::start().await;
    let bucket = Bucket::new(connect(&nats).await, NAME);
    bucket.put("one", json("1")).await.unwrap();
    nats.pause();
    let began = Instant::now();
    let (read, written, deleted, all) =
        tokio::join!(bucket.get("one"), bucket.update("one", json("2"), 1), bucket.delete("one"), bucket.entries(),);
    let errors = [read.unwrap_err(), written.unwrap_err(), deleted.unwrap_err(), all.unwrap_err()];
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for error in errors {
        assert!(matches!(error, BucketError::Unavailable { .. } | BucketError::TimedOut { .. }), "{error}");
    }
    nats.resume();
}

const OLD: &str = "fedcba9876543210fedcba9876543210";
const NEW: &str = "0123456789abcdef0123456789abcdef";

/// A bucket of secrets for a service with this `SECRETS_KEY`; empty: none.
async fn secrets(nats: &Nats, key: &str) -> Bucket {
    let secrets_key = (!key.is_empty()).then(|| key.parse().unwrap());
    let broker = Broker::connect(&BrokerSettings { secrets_key, ..settings(nats) }, "test").await.unwrap();
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    Bucket::new(broker, SESSIONS_BUCKET)
}

/// Whether NATS stores the text as it is.
async fn is_readable(nats: &Nats, key: &str) -> bool {
    let stored = connect(nats).await.bucket(SESSIONS_BUCKET).await.unwrap().get(key).await.unwrap().unwrap();
    stored.windows(b"password".len()).any(|window| window == b"password")
}

#[tokio::test]
async fn secrets_are_sealed_with_every_write_and_with_a_new_key() {
    let nats = Nats::start().await;
    let plain = secrets(&nats, "").await;
    plain.put("before", json(r#""password""#)).await.unwrap();
    assert!(is_readable(&nats, "before").await, "the test sees what is stored");

    let old = secrets(&nats, OLD).await;
    assert_eq!(old.get_json::<String>("before").await.unwrap().unwrap().0, "password".to_owned());
    let revision = old.create("one", json(r#""password""#)).await.unwrap();
    old.update("one", json(r#""a password""#), revision).await.unwrap();
    old.change_value("two", |_: Option<String>| Some("another password".to_owned())).await.unwrap();
    assert_eq!(old.seal_again().await.unwrap(), 1, "what was stored before");
    assert_eq!(old.seal_again().await.unwrap(), 0);
    for key in ["before", "one", "two"] {
        assert!(!is_readable(&nats, key).await, "{key}");
    }
    let entries = old.entries().await.unwrap();
    assert_eq!(entries["one"], r#""a password""#);

    // The key is exchanged, and then the old one is taken away.
    let both = secrets(&nats, &format!("{NEW},{OLD}")).await;
    assert_eq!(both.seal_again().await.unwrap(), 3);
    let new = secrets(&nats, NEW).await;
    assert_eq!(new.entries().await.unwrap(), entries);

    // Back to plain text, as an earlier version reads it.
    assert_eq!(secrets(&nats, &format!("plain,{NEW}")).await.seal_again().await.unwrap(), 3);
    assert!(is_readable(&nats, "one").await);
    assert_eq!(plain.entries().await.unwrap(), entries);
}

#[tokio::test]
async fn a_secret_without_its_key_stays_as_it_is() {
    let nats = Nats::start().await;
    let old = secrets(&nats, OLD).await;
    old.put("one", json(r#""password""#)).await.unwrap();
    old.put("two", json(r#""password""#)).await.unwrap();
    for key in ["", NEW] {
        let other = secrets(&nats, key).await;
        assert!(matches!(other.get("one").await.unwrap_err(), BucketError::Sealed { .. }), "{key}");
        let changed = other.change_value("one", |_: Option<String>| Some("nothing".to_owned())).await;
        assert!(matches!(changed.unwrap_err(), BucketError::Sealed { .. }), "{key}");
        assert!(serde_json::from_slice::<String>(&other.entries().await.unwrap()["one"]).is_err(), "{key}");
        assert_eq!(other.seal_again().await.unwrap(), 0);
    }
    // A value under another key of the bucket does not open: nobody exchanges two of them unseen.
    let raw = connect(&nats).await.bucket(SESSIONS_BUCKET).await.unwrap();
    let one = raw.get("one").await.unwrap().unwrap();
    raw.put("two", one).await.unwrap();
    assert!(matches!(old.get("two").await.unwrap_err(), BucketError::Sealed { .. }));
    assert_eq!(old.get_json::<String>("one").await.unwrap().unwrap().0, "password".to_owned());
}
