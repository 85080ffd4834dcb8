//! Gateways that take different numbers of sessions (`GATEWAY_MAX_SESSIONS`): what one has no room for, another one runs.
//! What one holds by name only, another one runs, too.

use crate::{
    fleet::{Fleet, accounts},
    world::SOON,
};
use kurir_contract::session::SESSION_HOLDERS_BUCKET;
use kurir_test_harness::until;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_has_no_room_for_others_take() {
    let (fleet, accounts) = (Fleet::start().await, accounts(4));
    let mut large = fleet.gateway("large gateway", &[]).await;
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    // An even spread would give two to each.
    let mut small = fleet.gateway("small gateway", &[("GATEWAY_MAX_SESSIONS", "1")]).await;
    let is_spread = async || match fleet.spread().await {
        spread if spread == [1, 3] => Ok(()),
        spread => Err(format!("{spread:?}")),
    };
    until("one session and three", SOON, is_spread).await;
    for (session, _) in &accounts {
        fleet.is(session, "connected").await;
    }

    large.kill_9().await;
    small.wait_for_line(|line| line.contains("3 sessions run nowhere"), SOON).await;
    assert_eq!(fleet.spread().await.first(), Some(&1), "it takes no more than it has room for");
    large.start_again();
    for (session, _) in &accounts {
        fleet.is(session, "connected").await;
    }
    until("one session and three again", SOON, is_spread).await;
    small.wait_for_line(|line| line.contains("there is room for all sessions again"), SOON).await;
}

/// As after a session whose end NATS did not hear of: its gateway lives, has as many sessions as it shall, and does not run it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_gateway_holds_by_name_only_is_run_by_another() {
    let (fleet, accounts) = (Fleet::start().await, accounts(2));
    let _one = fleet.gateway("gateway one", &[]).await;
    for (session, account) in &accounts {
        fleet.pair(session, account).await;
    }
    let _two = fleet.gateway("gateway two", &[]).await;
    until("a session at each", SOON, async || fleet.spread().await == [1, 1]).await;

    let holders = fleet.jetstream().get_key_value(SESSION_HOLDERS_BUCKET).await.expect("the bucket");
    let [(first, _), (second, _)] = accounts.as_slice() else { panic!("two accounts") };
    fleet.wishes(second, "stopped").await;
    until("nobody to hold it", SOON, async || holders.get(second).await.expect("read").is_none()).await;
    let holder_of_first = holders.get(first).await.expect("read").expect("a holder");
    holders.put(second, holder_of_first).await.expect("stored");
    fleet.wishes(second, "running").await;
    fleet.is(second, "connected").await;
    until("a session at each", SOON, async || fleet.spread().await == [1, 1]).await;
}
