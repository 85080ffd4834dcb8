//! With `SESSION_STORE=nats` a session outlives its gateway: another one goes on with it, without a volume, without a new
//! pairing, with nothing lost and nothing twice.

use crate::{
    fleet::{CONTACTS, Fleet, KEY, Load, accounts},
    world::SOON,
};
use futures::StreamExt as _;
use kurir_contract::command::{Command, EmptyBody, LoggedOut, SessionInfo};
use kurir_test_harness::{Nats, NetworkCable, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Kills one of two gateways again and again, under load in both directions. Prints how long the slowest takeover took: a busy
/// machine decides that, and the goal of 15 s is measured on a quiet one.
pub async fn outlive_kills(fleet: Fleet, sessions: usize, kills: usize, pause: Duration) {
    let (fleet, accounts) = (Arc::new(fleet), accounts(sessions));
    let mut one = fleet.gateway("gateway one", &[]).await;
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    let mut two = fleet.gateway("gateway two", &[]).await;
    let load = Load::begin(&fleet, &accounts, pause);
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let (dies, lives) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        dies.kill_9().await;
        let begun = Instant::now();
        for (session, _) in &accounts {
            fleet.is(session, "connected").await;
        }
        slowest = slowest.max(begun.elapsed());
        assert!(lives.is_running(), "{}", lives.output());
        for (session, _) in &accounts {
            let text = format!("sent by {session} in round {round}");
            until("a send", SOON, || fleet.send(session, CONTACTS[0], &text)).await;
        }
        dies.start_again();
        dies.wait_ready(SOON).await;
    }
    let count = load.end(&fleet).await;
    let texts = (0..kills)
        .flat_map(|round| accounts.iter().map(move |(session, _)| format!("sent by {session} in round {round}")));
    fleet.were_sent_once(CONTACTS[0], texts).await;
    let chats = accounts.len() * CONTACTS.len();
    eprintln!("{kills} kills, {count} texts in each of {chats} chats, the slowest takeover took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_their_gateway_with_nothing_lost_or_doubled() {
    outlive_kills(Fleet::start().await, 3, 3, Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_a_gateway_and_a_node_of_nats() {
    let mut nodes = Nats::start_cluster().await;
    let urls = nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    let fleet = Arc::new(Fleet::on(nodes.remove(0)).await);
    let own = [("NATS_URL", urls.as_str()), ("STREAM_REPLICAS", "3")];
    let mut one = fleet.gateway("gateway one", &own).await;
    let accounts = accounts(2);
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    let _two = fleet.gateway("gateway two", &own).await;
    let load = Load::begin(&fleet, &accounts, Duration::from_millis(100));
    nodes[1].kill().await;
    one.kill_9().await;
    for (session, _) in &accounts {
        fleet.is(session, "connected").await;
    }
    nodes[1].start_again().await;
    load.end(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing() {
    let (fleet, accounts) = (Arc::new(Fleet::start().await), accounts(6));
    let mut gateways = vec![fleet.gateway("gateway one", &[]).await];
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    gateways.push(fleet.gateway("gateway two", &[]).await);
    gateways.push(fleet.gateway("gateway three", &[]).await);
    let load = Load::begin(&fleet, &accounts, Duration::from_millis(100));
    // How long each session is away, as a caller sees it.
    let stop = Arc::new(AtomicBool::new(false));
    let watches: Vec<_> = accounts
        .iter()
        .map(|(session, _)| {
            let (fleet, stop, session) = (Arc::clone(&fleet), Arc::clone(&stop), session.clone());
            tokio::spawn(async move {
                let (mut longest, mut seen) = (Duration::ZERO, Instant::now());
                while !stop.load(Ordering::Relaxed) {
                    let info = fleet.ask::<SessionInfo>(&session, Command::Status, EmptyBody {}).await;
                    if info.is_ok_and(|info| info.is_connected) {
                        longest = longest.max(seen.elapsed());
                        seen = Instant::now();
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                longest
            })
        })
        .collect();
    for gateway in &mut gateways {
        assert!(gateway.terminate(SOON).await.success());
        gateway.start_again();
        gateway.wait_ready(SOON).await;
    }
    load.end(&fleet).await;
    stop.store(true, Ordering::Relaxed);
    let mut longest = Duration::ZERO;
    for watch in watches {
        longest = longest.max(watch.await.expect("a watch"));
    }
    eprintln!("the longest time away was {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_frozen_does_nothing_more_for_a_session_that_moved() {
    let fleet = Fleet::start().await;
    let mut one = fleet.gateway("gateway one", &[]).await;
    fleet.pair("default", "6281230009001").await;
    let mut two = fleet.gateway("gateway two", &[]).await;
    fleet.writes("6281230009001", CONTACTS[0], "before").await;
    fleet.arrives("before").await;
    one.pause();
    fleet.writes("6281230009001", CONTACTS[0], "meanwhile").await;
    two.wait_for_line(|line| line.contains("session default is connected"), SOON * 2).await;
    fleet.arrives("meanwhile").await;
    // NATS still counts the frozen one as there. Its copies of these commands wait for it.
    for number in 0..10 {
        fleet.send("default", CONTACTS[1], &format!("sent meanwhile {number}")).await.expect("sent");
    }
    one.resume();
    for number in 10..20 {
        fleet.send("default", CONTACTS[1], &format!("sent meanwhile {number}")).await.expect("sent");
    }
    one.wait_for_line(|line| line.contains("went to another gateway"), SOON).await;
    for number in 0..20 {
        fleet.writes("6281230009001", CONTACTS[0], &format!("after {number}")).await;
        fleet.send("default", CONTACTS[1], &format!("sent {number}")).await.expect("sent");
    }
    fleet.arrives("after 19").await;
    let texts: Vec<String> = fleet.received().await.into_values().flatten().collect();
    let expected: Vec<String> = ["before".to_owned(), "meanwhile".to_owned()]
        .into_iter()
        .chain((0..20).map(|number| format!("after {number}")))
        .collect();
    assert_eq!(texts, expected);
    let sent: Vec<_> = fleet.simulator.received_by(CONTACTS[1]).await;
    let sent: Vec<_> = sent.iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect();
    let meanwhile = (0..20).map(|number| format!("sent meanwhile {number}"));
    assert_eq!(sent, meanwhile.chain((0..20).map(|number| format!("sent {number}"))).collect::<Vec<_>>());
    assert!(!two.output().contains("replaced"), "the two clients fought");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_handed_over_at_once_and_spread_over_gateways() {
    let fleet = Fleet::start().await;
    let mut one = fleet.gateway("gateway one", &[]).await;
    fleet.pair("default", "6281230009001").await;
    fleet.pair("sales", "6281230009002").await;
    let mut two = fleet.gateway("gateway two", &[]).await;
    // One of the two moves to the gateway that joined.
    two.wait_for_line(|line| line.contains("is connected"), SOON).await;
    for session in ["default", "sales"] {
        fleet.is(session, "connected").await;
    }
    let begun = Instant::now();
    assert!(two.terminate(SOON).await.success());
    for session in ["default", "sales"] {
        fleet.is(session, "connected").await;
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for the lease: {:?}", begun.elapsed());
    fleet.writes("6281230009001", CONTACTS[0], "to the first").await;
    fleet.writes("6281230009002", CONTACTS[0], "to the second").await;
    fleet.arrives("to the first").await;
    fleet.arrives("to the second").await;
    // Its keys are no longer on the disk of the gateway that left.
    let left =
        std::fs::read_dir(two.folder().join("sessions")).expect("a folder").map(|entry| entry.expect("an entry"));
    assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), [".kurir-home"]);
    // After a logout nobody has keys.
    let _: LoggedOut = fleet.ask("sales", Command::Logout, EmptyBody {}).await.expect("logged out");
    assert!(one.terminate(SOON).await.success());
    two.start_again();
    fleet.is("default", "connected").await;
    fleet.is("sales", "pairing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_from_a_folder_and_its_key_is_exchanged() {
    let fleet = Fleet::start().await;
    let mut one = fleet.gateway("gateway one", &[("SESSION_STORE", "sqlite")]).await;
    fleet.pair("default", "6281230009001").await;
    assert!(one.terminate(SOON).await.success());
    one.set_env("SESSION_STORE", "nats");
    one.start_again();
    fleet.is("default", "connected").await;
    assert!(one.folder().join("sessions/default/whatsapp.db.moved-to-nats").exists());
    // More changes than one snapshot waits for.
    for number in 0..500 {
        fleet.writes("6281230009001", CONTACTS[number % 2], &format!("text {number}")).await;
    }
    fleet.arrives("text 499").await;
    let jetstream = fleet.jetstream();
    until("a snapshot, and few changes behind it", SOON, || async {
        let stream = jetstream.get_stream("SESSION_CHANGES").await.map_err(|error| error.to_string())?;
        let changes = stream.cached_info().state.messages;
        if changes < 1_000 { Ok(()) } else { Err(changes.to_string()) }
    })
    .await;
    one.kill_9().await;

    let mut two =
        fleet.gateway("gateway two", &[("SESSION_KEY", &format!("fedcba9876543210fedcba9876543210,{KEY}"))]).await;
    fleet.is("default", "connected").await;
    fleet.writes("6281230009001", CONTACTS[0], "after the exchange").await;
    fleet.arrives("after the exchange").await;
    // Nothing in NATS is readable.
    assert!(two.terminate(SOON).await.success());
    let mut other = fleet.spawn("gateway three", &[("SESSION_KEY", "another key of 32 characters or more")]);
    let output = other.exited(SOON).await;
    assert!(!output.success());
    assert!(other.output().contains("does not open with SESSION_KEY"), "{}", other.output());

    // Without the snapshot nothing is paired again.
    jetstream.delete_object_store("session_snapshots").await.expect("deleted");
    let mut last = fleet.spawn("gateway four", &[("SESSION_KEY", &format!("fedcba9876543210fedcba9876543210,{KEY}"))]);
    assert!(!last.exited(SOON).await.success());
    assert!(last.output().contains("the session's snapshot is missing in NATS"), "{}", last.output());
    assert!(!last.output().contains("is pairing"), "{}", last.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_from_nats_loses_its_session_and_nothing_else() {
    let fleet = Fleet::start().await;
    let mut cable = NetworkCable::to(fleet.nats.addr());
    let url = format!("nats://{}", cable.addr());
    let mut one = fleet.gateway("gateway one", &[("NATS_URL", &url), ("BROKER_WAIT", "5s")]).await;
    fleet.pair("default", "6281230009001").await;
    let mut two = fleet.gateway("gateway two", &[]).await;
    cable.cut().await;
    let mut number = 0;
    let begun = Instant::now();
    while !two.output().contains("session default is connected") {
        assert!(begun.elapsed() < SOON * 2, "{}", two.output());
        for contact in CONTACTS {
            fleet.writes("6281230009001", contact, &format!("text {number}")).await;
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cable.mend();
    fleet.writes("6281230009001", CONTACTS[0], "the last").await;
    fleet.arrives("the last").await;
    one.wait_for_line(|line| line.contains("went to another gateway"), SOON).await;
    let expected: Vec<String> = (0..number).map(|number| format!("text {number}")).collect();
    until("each text once and in order", SOON, || async {
        let received = fleet.received().await;
        let wrong = received.values().find(|texts| texts.iter().filter(|text| *text != "the last").ne(&expected));
        if wrong.is_none() && received.len() == 2 { Ok(()) } else { Err(format!("{received:?}")) }
    })
    .await;
    assert!(two.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_from_nats_is_made_again_from_what_the_holder_has() {
    let fleet = Fleet::start().await;
    let mut one = fleet.gateway("gateway one", &[("BROKER_WAIT", "2s")]).await;
    fleet.pair("default", "6281230009001").await;
    let jetstream = fleet.jetstream();
    jetstream.delete_stream("SESSION_CHANGES").await.expect("deleted");
    // The first change that cannot be appended shows it.
    fleet.writes("6281230009001", CONTACTS[0], "after the loss").await;
    fleet.arrives("after the loss").await;
    until("a snapshot", SOON, || async {
        let store = jetstream.get_object_store("session_snapshots").await.map_err(|error| error.to_string())?;
        let mut objects = store.list().await.map_err(|error| error.to_string())?;
        objects.next().await.ok_or_else(|| "none".to_owned())?.map_err(|error| error.to_string())
    })
    .await;
    one.kill_9().await;
    let _two = fleet.gateway("gateway two", &[]).await;
    fleet.is("default", "connected").await;
    fleet.writes("6281230009001", CONTACTS[0], "after the takeover").await;
    fleet.arrives("after the takeover").await;
    let undecryptable = fleet.events().await.iter().filter(|event| event["event"] == "message.undecryptable").count();
    assert_eq!(undecryptable, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_nats_that_is_longer_than_the_wait_loses_nothing() {
    let mut fleet = Fleet::start().await;
    let one = fleet.gateway("gateway one", &[("BROKER_WAIT", "5s")]).await;
    fleet.pair("default", "6281230009001").await;
    let mut number = 0;
    for outage in [Duration::from_secs(2), Duration::from_secs(7)] {
        fleet.nats.kill().await;
        let begun = Instant::now();
        while begun.elapsed() < outage {
            for contact in CONTACTS {
                fleet.writes("6281230009001", contact, &format!("text {number}")).await;
            }
            number += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fleet.nats.start_again().await;
        for _ in 0..50 {
            for contact in CONTACTS {
                fleet.writes("6281230009001", contact, &format!("text {number}")).await;
            }
            number += 1;
        }
        fleet.is("default", "connected").await;
    }
    let expected: Vec<String> = (0..number).map(|number| format!("text {number}")).collect();
    until("each text once and in order", SOON * 2, || async {
        let received = fleet.received().await;
        let wrong = received.values().find(|texts| **texts != expected);
        match wrong {
            None if received.len() == 2 => Ok(()),
            None => Err(format!("{} chats", received.len())),
            Some(texts) => Err(format!("{} of {number}: {texts:?}", texts.len())),
        }
    })
    .await;
    assert!(!one.output().contains("went to another gateway"), "{}", one.output());
}
