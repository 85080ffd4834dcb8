//! NATS is there and has no room, or refuses: the session says so, waits quietly, and loses nothing.

use crate::{
    outage::all_acknowledged,
    world::{BUDI, BUDI_JID, SOON, World},
};
use async_nats::jetstream::stream::Config;
use kurir_contract::{
    command::{Command, CommandErrorCode, group::GroupRequest},
    stream,
};
use kurir_test_harness::{Nats, Port, http, until};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

async fn change_events(world: &World, change: impl FnOnce(&mut Config)) {
    let jetstream = world.jetstream().await;
    let mut events = jetstream.get_stream(stream::EVENTS).await.expect("EVENTS is there");
    let mut config = events.info().await.expect("its info").config.clone();
    change(&mut config);
    jetstream.update_stream(config).await.expect("it is changed");
}

async fn stored(world: &World) -> i64 {
    let stream = world.jetstream().await.get_stream(stream::EVENTS).await.expect("EVENTS is there");
    i64::try_from(stream.cached_info().state.messages).expect("a small number")
}

#[tokio::test]
async fn a_full_stream_is_told_of_and_waited_for_in_quiet() {
    let mut world = World::connected(&[("BROKER_WAIT", "5s")]).await;
    world.simulator.contact_writes(BUDI, "before").await;
    world.data("message.received", |_| true).await;
    // Nothing is on its way any more.
    until("all events to be stored", SOON, || async {
        let before = stored(&world).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if stored(&world).await == before { Ok(()) } else { Err(before) }
    })
    .await;
    let full = stored(&world).await;
    change_events(&world, |config| config.max_messages = full).await;
    for n in 0..5 {
        world.simulator.contact_writes(BUDI, &format!("while it is full {n}")).await;
    }
    let status = world.is("storage_full").await;
    assert!(status.reason.as_deref().is_some_and(|reason| reason.contains("maximum messages")), "{status:?}");
    let connects = |output: String| output.lines().filter(|line| line.contains("is connecting")).count();
    let before = connects(world.gateway.output());
    for _ in 0..3 {
        let begun = Instant::now();
        let refused = world.send(BUDI, "hello").await.expect_err("its event could not be stored");
        assert_eq!(refused.code, CommandErrorCode::StorageFull);
        let group = GroupRequest { group: "120363000000000001@g.us".parse().expect("a group") };
        let refused = world.ask::<serde_json::Value>(Command::Group, group).await.expect_err("not connected");
        assert_eq!(refused.code, CommandErrorCode::StorageFull);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // Longer than an event waits for NATS.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(connects(world.gateway.output()), before, "it does not reconnect");
    assert!(world.simulator.received_by(BUDI).await.is_empty(), "nothing was sent");
    change_events(&world, |config| config.max_messages = -1).await;
    world.is("connected").await;
    until("all texts in their order", SOON, || async {
        let texts = world.texts_from(BUDI_JID).await;
        let expected: Vec<_> =
            std::iter::once("before".to_owned()).chain((0..5).map(|n| format!("while it is full {n}"))).collect();
        if texts == expected { Ok(()) } else { Err(texts) }
    })
    .await;
    all_acknowledged(&world).await;
    world.send(BUDI, "after").await.expect("it is sent");
    let told = world.told().await;
    assert!(told.contains(&"storage_full".to_owned()), "{told:?}");
    world.gateway.wait_for_line(|line| line.contains("NATS stores events again"), SOON).await;
    world.finish().await;
}

/// A send is refused with this code within the time that the API promises.
async fn is_refused(world: &World, code: CommandErrorCode) {
    let begun = Instant::now();
    let refused = world.send(BUDI, "meanwhile").await.expect_err("nothing can be stored");
    assert_eq!(refused.code, code, "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn each_way_to_store_nothing_has_a_state_and_a_code_of_its_own() {
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let world = World::connected(&[("BROKER_WAIT", "5s"), ("HEALTH_LISTEN", &listen)]).await;
    let ready = async || {
        let answer = http::client().get(format!("http://{listen}/readyz")).send().await.expect("the gateway answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    type Change = fn(&mut Config);
    let cases: [(&str, Change, Change, CommandErrorCode); 2] = [
        ("storage_full", |config| config.max_bytes = 1, |config| config.max_bytes = -1, CommandErrorCode::StorageFull),
        // An operator took the subjects away: NATS answers, and no stream takes the event.
        (
            "storage_refused",
            |config| config.subjects = vec!["elsewhere.>".to_owned()],
            |config| config.subjects = vec!["whatsapp.events.>".to_owned()],
            CommandErrorCode::StorageRefused,
        ),
    ];
    for (status, breaks, mends, code) in cases {
        world.is("connected").await;
        change_events(&world, breaks).await;
        // Nothing was refused yet: the stream itself says it.
        let told = world.is(status).await;
        assert!(told.reason.is_some(), "{told:?}");
        is_refused(&world, code).await;
        until(format!("the gateway not to be ready in {status}"), SOON, || async {
            let answer = ready().await;
            if answer.0 == 503 && answer.1.contains("NATS") { Ok(()) } else { Err(answer) }
        })
        .await;
        world.simulator.contact_writes(BUDI, status).await;
        change_events(&world, mends).await;
        world.is("connected").await;
        world.data("message.received", |data| data["content"]["text"] == status).await;
    }
    all_acknowledged(&world).await;
    assert!(world.simulator.received_by(BUDI).await.is_empty(), "nothing was sent");
    until("the gateway to be ready again", SOON, || async {
        let answer = ready().await;
        if answer.0 == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn a_sealed_stream_is_told_of_and_replaced_once_it_is_deleted() {
    let world = World::connected(&[("BROKER_WAIT", "5s")]).await;
    change_events(&world, |config| config.sealed = true).await;
    world.is("storage_refused").await;
    is_refused(&world, CommandErrorCode::StorageRefused).await;
    world.simulator.contact_writes(BUDI, "hello").await;
    world.jetstream().await.delete_stream(stream::EVENTS).await.expect("it was there");
    world.is("connected").await;
    world.data("message.received", |data| data["content"]["text"] == "hello").await;
    world.finish().await;
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_of_and_nothing_is_lost() {
    let mut nats = Nats::start().await;
    nats.stop().await;
    let store = nats.process().folder().join("store");
    let Some(mount) = SmallDisk::mount(&store) else {
        eprintln!("SKIPPED: no disk can be mounted here");
        return;
    };
    nats.start_again().await;
    let mut world = World::start_on(nats, true, &[("BROKER_WAIT", "5s")]).await;
    world.is("connected").await;
    world.simulator.contact_writes(BUDI, "before").await;
    world.data("message.received", |data| data["content"]["text"] == "before").await;
    let filler = store.join("filler");
    fill(&filler);
    for n in 0..5 {
        world.simulator.contact_writes(BUDI, &format!("while it is full {n}")).await;
    }
    let status = until("a state that says what is the matter", SOON * 2, || async {
        let status = world.status().await;
        if status.status.as_str().starts_with("storage_") { Ok(status) } else { Err(status) }
    })
    .await;
    assert!(status.reason.is_some(), "{status:?}");
    let begun = Instant::now();
    let refused = world.send(BUDI, "meanwhile").await.expect_err("nothing can be stored");
    let codes = [CommandErrorCode::StorageFull, CommandErrorCode::StorageUnavailable];
    assert!(codes.contains(&refused.code), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    std::fs::remove_file(&filler).expect("it was there");
    // NATS switches its JetStream off when its disk is full, until it is started again.
    world.nats.stop().await;
    world.nats.start_again().await;
    world.is("connected").await;
    for n in 0..5 {
        world.data("message.received", |data| data["content"]["text"] == format!("while it is full {n}")).await;
    }
    all_acknowledged(&world).await;
    assert!(world.simulator.received_by(BUDI).await.is_empty(), "nothing was sent");
    world.gateway.terminate(SOON).await;
    world.nats.stop().await;
    drop(mount);
}

/// A disk of a few megabytes. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::remove_dir_all(at).ok()?;
        std::fs::create_dir(at).ok()?;
        let mounted =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes until the disk is full.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file).expect("a file");
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}
