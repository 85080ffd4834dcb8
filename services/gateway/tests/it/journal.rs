//! The journal of a session against a real NATS: what was given up half-way, and who may write.

use clap::Parser;
use kurir_chassis::broker::{Broker, BrokerSettings};
use kurir_gateway::session::journal::{Overtaken, SessionJournal, StoreChange};
use kurir_test_harness::{Nats, until};
use std::{path::Path, sync::Arc, time::Duration};
use whatsapp_rust::store::{DeviceStore as _, SignalStore as _, SqliteStore};

use crate::{fleet::KEY, world::SOON};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    broker: BrokerSettings,
}

async fn broker(nats: &Nats) -> Broker {
    let settings = Settings::parse_from(["test", "--nats-url", &nats.url()]);
    let broker = Broker::connect(&settings.broker, "test").await.expect("a broker");
    until("a connection", SOON, || async { if broker.is_connected() { Ok(()) } else { Err("none") } }).await;
    broker
}

/// A session in this folder, as NATS has it.
async fn restored(broker: &Broker, folder: &Path) -> (SessionJournal, SqliteStore) {
    let keys = KEY.parse().expect("a key");
    let session = "default".parse().expect("an id");
    let journal = SessionJournal::new(broker, &keys, &session, (folder, None), Duration::from_secs(5));
    journal.restore().await.expect("restored");
    let store = SqliteStore::new(folder.join("whatsapp.db").to_str().expect("a path")).await.expect("a database");
    (journal, store)
}

fn identity(of: &str) -> StoreChange {
    StoreChange::PutIdentities(vec![(Arc::from(of), [7; 32])])
}

async fn has(store: &SqliteStore, of: &str) -> bool {
    store.load_identity(of).await.expect("read").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_given_up_half_way_is_made_before_the_next_one() {
    let (nats, folders) = (Nats::start().await, [(); 2].map(|()| tempfile::tempdir().expect("a folder")));
    let broker = broker(&nats).await;
    let (journal, store) = restored(&broker, folders[0].path()).await;
    assert!(journal.is_new());
    let turn = journal.append(StoreChange::CreateDevice).await.expect("appended");
    store.create().await.expect("made");
    turn.finish();
    // The connection ends between the journal and the file.
    drop(journal.append(identity("a")).await.expect("appended"));
    assert!(journal.append(identity("b")).await.is_err());
    assert!(journal.take_snapshot().await.is_err());
    assert!(!has(&store, "a").await);
    journal.settle(&store).await.expect("settled");
    assert!(has(&store, "a").await);
    journal.append(identity("b")).await.expect("appended").finish();
    // `b` is in the journal only, and a takeover has both.
    let (second, store) = restored(&broker, folders[1].path()).await;
    assert!(has(&store, "a").await && has(&store, "b").await && !second.is_new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_a_session_stores_neither_a_change_nor_a_snapshot() {
    let (nats, folders) = (Nats::start().await, [(); 3].map(|()| tempfile::tempdir().expect("a folder")));
    let broker = broker(&nats).await;
    let (first, store) = restored(&broker, folders[0].path()).await;
    first.append(StoreChange::CreateDevice).await.expect("appended").finish();
    store.create().await.expect("made");
    let (second, store) = restored(&broker, folders[1].path()).await;
    second.append(identity("a")).await.expect("appended").finish();
    store.put_identity("a", [7; 32]).await.expect("written");
    second.take_snapshot().await.expect("a snapshot");
    // The first one does not know yet, and its snapshot comes last.
    assert!(first.take_snapshot().await.is_err());
    assert!(first.append(identity("b")).await.is_err());
    assert!(first.settle(&store).await.expect_err("overtaken").is::<Overtaken>());
    second.append(identity("c")).await.expect("appended").finish();
    let (_third, store) = restored(&broker, folders[2].path()).await;
    assert!(has(&store, "a").await && has(&store, "c").await && !has(&store, "b").await);
}
