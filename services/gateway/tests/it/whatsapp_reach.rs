//! A gateway that is cut off from WhatsApp gives its sessions to one that is not; with nobody to give them to, it keeps them.

use crate::{
    fleet::{CONTACTS, Fleet, Load, accounts},
    world::SOON,
};
use kurir_test_harness::{Process, until};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Waits until the gateway has logged so many lines with this text.
async fn logged(gateway: &Process, text: &str, count: usize) {
    until(format!("{count} lines with {text:?}"), SOON, || async {
        let found = gateway.output().matches(text).count();
        if found >= count { Ok(()) } else { Err(format!("{found} in {}", gateway.output())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_gateway_that_is_cut_off_from_whatsapp_go_on_elsewhere_and_come_back() {
    let (fleet, accounts) = (Arc::new(Fleet::start().await), accounts(4));
    let (mut cable, url) = fleet.cable_to_whatsapp();
    let one = fleet.gateway("gateway one", &[("WHATSAPP_URL", &url)]).await;
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    let two = fleet.gateway("gateway two", &[]).await;
    logged(&two, "is connected", 2).await;
    let load = Load::begin(&fleet, &accounts, Duration::from_millis(100));
    for round in 0..2 {
        let connected = one.output().matches("is connected").count();
        cable.cut().await;
        let begun = Instant::now();
        logged(&one, "WhatsApp cannot be reached", round + 1).await;
        for (session, _) in &accounts {
            fleet.is(session, "connected").await;
            fleet.send(session, CONTACTS[0], &format!("sent by {session} in round {round}")).await.expect("sent");
        }
        eprintln!("all sessions were connected again after {:?}", begun.elapsed());
        cable.mend();
        // Half of the sessions come back, one after the other.
        logged(&one, "is connected", connected + 2).await;
    }
    load.end(&fleet).await;
    let texts =
        (0..2).flat_map(|round| accounts.iter().map(move |(session, _)| format!("sent by {session} in round {round}")));
    fleet.were_sent_once(CONTACTS[0], texts).await;
    assert!(!one.output().contains("replaced") && !two.output().contains("replaced"), "two clients fought");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_stay_where_they_are_while_no_gateway_reaches_whatsapp() {
    let fleet = Fleet::start().await;
    let (mut cable, url) = fleet.cable_to_whatsapp();
    let one = fleet.gateway("gateway one", &[("WHATSAPP_URL", &url)]).await;
    for (session, account) in &accounts(2) {
        fleet.pair(session, account).await;
    }
    let two = fleet.gateway("gateway two", &[("WHATSAPP_URL", &url)]).await;
    logged(&two, "is connected", 1).await;
    cable.cut().await;
    for gateway in [&one, &two] {
        logged(gateway, "WhatsApp cannot be reached", 1).await;
    }
    fleet.writes("6281230009000", CONTACTS[0], "meanwhile").await;
    cable.mend();
    fleet.arrives("meanwhile").await;
    for session in ["default", "s1"] {
        fleet.is(session, "connected").await;
    }
    // On a slow machine one may notice so much later that the other one gives its session away; never both.
    let gave_up = |gateway: &Process| gateway.output().contains("go to gateways that reach WhatsApp");
    assert!(!(gave_up(&one) && gave_up(&two)), "{}{}", one.output(), two.output());
}
