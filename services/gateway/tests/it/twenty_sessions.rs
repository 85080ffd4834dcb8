//! Twenty sessions on two gateways, killed, frozen and cut off: the figures of docs/decisions/0031-sessions-in-nats.md.

use crate::{
    fleet::{CONTACTS, Fleet, Load, accounts},
    takeover::outlive_kills,
    world::SOON,
};
use kurir_test_harness::{NetworkCable, until};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Takes five minutes: `cargo test … twenty_sessions -- --ignored --nocapture` prints the figures.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes five minutes"]
async fn twenty_sessions_outlive_ten_kills() {
    outlive_kills(Fleet::start().await, 20, 10, Duration::from_millis(500)).await;
}

async fn spread_is(fleet: &Fleet, expected: &[usize]) {
    until(format!("a spread of {expected:?} sessions"), SOON * 4, || async {
        let spread = fleet.spread().await;
        if spread == expected { Ok(()) } else { Err(format!("{spread:?}")) }
    })
    .await;
}

/// What a gateway goes through in [`twenty_sessions_outlive_a_freeze_and_cuts`].
#[derive(Debug)]
enum Fault {
    Frozen,
    CutOffFromNats,
    CutOffFromWhatsapp,
}

/// How long a fault lasts; longer than each wait in a gateway.
const FAULT_LASTS: Duration = Duration::from_secs(60);

/// Takes six minutes, as above.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes six minutes"]
async fn twenty_sessions_outlive_a_freeze_and_cuts() {
    let (fleet, accounts) = (Arc::new(Fleet::start().await), accounts(20));
    let mut nats = NetworkCable::to(fleet.nats.addr());
    let nats_url = format!("nats://{}", nats.addr());
    let (mut whatsapp, whatsapp_url) = fleet.cable_to_whatsapp();
    let mut one = fleet.gateway("gateway one", &[("NATS_URL", &nats_url), ("WHATSAPP_URL", &whatsapp_url)]).await;
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    let two = fleet.gateway("gateway two", &[]).await;
    let load = Load::begin(&fleet, &accounts, Duration::from_millis(500));
    let faults = [Fault::Frozen, Fault::CutOffFromNats, Fault::CutOffFromWhatsapp];
    for fault in &faults {
        // Half of the sessions are with each gateway.
        spread_is(&fleet, &[accounts.len() / 2; 2]).await;
        for (session, _) in &accounts {
            fleet.is(session, "connected").await;
        }
        let begun = Instant::now();
        match fault {
            Fault::Frozen => one.pause(),
            Fault::CutOffFromNats => nats.cut().await,
            Fault::CutOffFromWhatsapp => whatsapp.cut().await,
        }
        spread_is(&fleet, &[accounts.len()]).await;
        for (session, _) in &accounts {
            fleet.is(session, "connected").await;
        }
        eprintln!("{fault:?}: all {} sessions were connected after {:?}", accounts.len(), begun.elapsed());
        for (session, _) in &accounts {
            let text = format!("sent by {session}, {fault:?}");
            until("a send", SOON, || fleet.send(session, CONTACTS[0], &text)).await;
        }
        tokio::time::sleep(FAULT_LASTS.saturating_sub(begun.elapsed())).await;
        match fault {
            Fault::Frozen => one.resume(),
            Fault::CutOffFromNats => nats.mend(),
            Fault::CutOffFromWhatsapp => whatsapp.mend(),
        }
    }
    let count = load.end(&fleet).await;
    let texts = faults
        .iter()
        .flat_map(|fault| accounts.iter().map(move |(session, _)| format!("sent by {session}, {fault:?}")));
    fleet.were_sent_once(CONTACTS[0], texts).await;
    assert!(!two.output().contains("replaced"), "two clients fought");
    eprintln!("{count} texts in each of {} chats", accounts.len() * CONTACTS.len());
}
