//! Gateways that take different numbers of sessions (`GATEWAY_MAX_SESSIONS`): what one has no room for, another one runs.

use crate::{
    fleet::{Fleet, accounts},
    world::SOON,
};
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
