//! A connected account does not appear online unless it should, so that the phone still rings.

use crate::world::{SOON, World};
use kurir_test_harness::until;
use serde_json::{Value, json};
use std::time::Duration;

/// The login after a pairing may only finish the pairing and announce nothing.
const MOST_LOGINS: usize = 4;
/// The client's requests after a login follow each other within milliseconds.
const QUIET: Duration = Duration::from_secs(1);

/// Waits until the client has sent all its requests after a login.
async fn has_asked_all(world: &World) {
    until("the client to have asked all", SOON, || async {
        let asked = || async { world.simulator.get("/statistics").await["fromClient"]["iq"].as_u64() };
        let before = asked().await;
        tokio::time::sleep(QUIET).await;
        let now = asked().await;
        if now == before { Ok(()) } else { Err((before, now)) }
    })
    .await;
}

/// Drops connections until the client announces itself as online at a login.
async fn says_online(world: &World) {
    for _ in 0..MOST_LOGINS {
        has_asked_all(world).await;
        let logins = world.simulator.get("/statistics").await["logins"].as_u64();
        world.simulator.post("/connections/drop", json!({})).await;
        until("the next login", SOON, || async {
            let now = world.simulator.get("/statistics").await["logins"].as_u64();
            if now > logins { Ok(()) } else { Err(now) }
        })
        .await;
        world.is("connected").await;
        has_asked_all(world).await;
        if world.simulator.get("/accounts").await.to_string().contains("\"available\"") {
            return;
        }
    }
    panic!("no login said that the account is online");
}

/// What WhatsApp received on the current connection, once it is what the test expects.
async fn hears(world: &World, fits: impl Fn(&[&str]) -> bool) {
    until("what the client says of being online", SOON, || async {
        let accounts = world.simulator.get("/accounts").await;
        let presences: Vec<&str> =
            accounts[0]["devices"][0]["presences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if fits(&presences) { Ok(()) } else { Err(accounts.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn the_account_does_not_appear_online() {
    let world = World::connected(&[]).await;
    for _ in 0..2 {
        says_online(&world).await;
        hears(&world, |said| said.last() == Some(&"unavailable")).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn the_account_appears_online_if_it_should() {
    let world = World::connected(&[("WHATSAPP_MARK_ONLINE", "true")]).await;
    says_online(&world).await;
    // This answer comes after everything that the client announced at the login.
    world.send(crate::world::BUDI, "hello").await.expect("sent");
    hears(&world, |said| said == ["available"]).await;
    world.finish().await;
}
