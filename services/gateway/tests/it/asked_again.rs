//! A phone that cannot read a message asks for it again, maybe days after it was sent. It gets the message under its
//! id.
//!
//! The client stores the time of each sent message, so the test moves this time back in the session's database.

use crate::world::{BUDI, SOON, World};
use kurir_test_harness::until;
use serde_json::json;
use std::time::Duration;

/// The client removes old messages at every twelfth ping. Pings are 15 to 30 s apart.
const REMOVED_WITHIN: Duration = Duration::from_secs(600);

/// Sends texts to Budi and moves their times back by some days, with the gateway stopped.
async fn sent_days_ago<const N: usize>(world: &mut World, days: [u32; N]) -> [String; N] {
    let mut ids = days.map(|days| days.to_string());
    for id in &mut ids {
        let sent = world.send(BUDI, &format!("{id} days ago")).await.expect("sent");
        world.simulator.contact_receives(BUDI, "the text", SOON, |got| got["id"] == sent.message_id.as_str()).await;
        *id = sent.message_id;
    }
    assert!(world.gateway.terminate(SOON).await.success());
    for (id, days) in ids.iter().zip(days) {
        let back =
            format!("UPDATE sent_messages SET created_at = created_at - {days} * 86400 WHERE message_id = '{id}'");
        world.sql(&back);
    }
    assert_eq!(kept(world).len(), N, "the client keeps what it sent on disk");
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    ids
}

/// The ids of the messages that the client could send again.
fn kept(world: &World) -> Vec<String> {
    world.sql("SELECT message_id FROM sent_messages")
}

async fn asks(world: &World, id: &str) {
    world.simulator.post(&format!("/contacts/{BUDI}/receipts"), json!({"id": id, "type": "retry"})).await;
}

/// Waits until Budi has read a message this often.
async fn read(world: &World, id: &str, times: u32) {
    let got = world.simulator.contact_receives(BUDI, "it again", SOON, |got| got["id"] == id && got["copies"] == times);
    let text = got.await["text"].clone();
    assert!(text.as_str().is_some_and(|text| text.ends_with("days ago")), "{text}");
}

#[tokio::test]
async fn a_message_of_six_days_ago_comes_again_after_a_restart() {
    let mut world = World::connected(&[]).await;
    let [id] = sent_days_ago(&mut world, [6]).await;
    asks(&world, &id).await;
    read(&world, &id, 2).await;
    world.finish().await;
}

/// Only this test fails if messages are kept for less than seven days, because the client ignores the age when it
/// answers. It takes some minutes, in which it mostly waits.
#[tokio::test]
async fn what_is_eight_days_old_is_forgotten_and_what_is_six_days_old_is_not() {
    let mut world = World::connected(&[]).await;
    let [six, eight] = sent_days_ago(&mut world, [6, 8]).await;
    until("the older one to be removed", REMOVED_WITHIN, || async {
        let kept = kept(&world);
        if kept.contains(&eight) { Err(kept) } else { Ok(()) }
    })
    .await;
    asks(&world, &eight).await;
    asks(&world, &six).await;
    read(&world, &six, 2).await;
    read(&world, &eight, 1).await;
    world.finish().await;
}
