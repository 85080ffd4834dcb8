//! The account's phone: seen when it writes or answers, and reported before WhatsApp removes this device.

use crate::world::{SOON, World};
use kurir_test_harness::until;
use serde_json::json;
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The phone has 20 s to answer before the user is warned.
const WARNED_WITHIN: Duration = Duration::from_secs(60);

/// When the phone was last seen, from the status.
async fn last_seen(world: &World) -> OffsetDateTime {
    let told = world.status().await.phone_last_seen.expect("a paired session's phone was seen");
    OffsetDateTime::parse(&told, &Rfc3339).expect("a time")
}

/// Moves WhatsApp's clock forward by some days. The gateway learns it at its next login.
async fn days_pass(world: &World, days: u32) {
    world.simulator.post("/clock", json!({"days": days})).await;
    world.simulator.post("/connections/drop", json!({})).await;
    world.is("connected").await;
}

#[tokio::test]
async fn a_phone_that_is_away_for_long_is_warned_of_once_and_its_return_is_told() {
    let mut world = World::connected(&[]).await;
    let number = world.account().await;
    let paired = last_seen(&world).await;
    world.simulator.post("/admin/mock-phone/power", json!({"number": number, "on": false})).await;
    days_pass(&world, 13).await;
    let warning = until("a warning", WARNED_WITHIN, || async {
        let warnings = world.events_of("session.phone_offline").await;
        warnings.first().cloned().ok_or(world.gateway.output())
    })
    .await;
    let data = &warning.body["data"];
    assert_eq!((&data["daysLeft"], &data["session"]), (&json!(1), &json!("default")));
    assert_eq!(last_seen(&world).await, paired);

    // A new process does not repeat a warning.
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    world.simulator.post("/admin/mock-phone/power", json!({"number": number, "on": true})).await;
    world.simulator.contact_sends(&number, json!({"text": "back", "to": crate::world::BUDI})).await;
    world.data("session.phone_online", |data| data["lastSeen"].is_string()).await;
    assert!(last_seen(&world).await - paired >= time::Duration::days(13));
    assert_eq!(world.events_of("session.phone_offline").await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_phone_that_nobody_touches_is_asked_and_not_warned_of() {
    let world = World::connected(&[]).await;
    let paired = last_seen(&world).await;
    days_pass(&world, 13).await;
    until("the phone to answer", SOON, || async {
        let seen = last_seen(&world).await;
        if seen - paired >= time::Duration::days(13) { Ok(()) } else { Err(seen) }
    })
    .await;
    // The phone had been away for long enough, until it answered.
    assert!(world.events_of("session.phone_offline").await.is_empty());
    world.finish().await;
}
