//! The session's folder takes no message: nothing is acknowledged, the status says why, and nothing is lost or
//! overtaken.
//!
//! A missing table stands for a full disk: the client's writes fail, and its open files still work.

use crate::{
    outage::{all_acknowledged, all_in_order, write},
    world::{SOON, World},
};

const FULL: &str = "ALTER TABLE pending_inbound_messages RENAME TO away";
const HAS_ROOM: &str = "ALTER TABLE away RENAME TO pending_inbound_messages";

#[tokio::test]
async fn what_cannot_be_kept_comes_again_in_order_when_there_is_room() {
    let mut world = World::connected(&[]).await;
    write(&world, 0, 3).await;
    all_in_order(&world, 2).await;
    all_acknowledged(&world).await;
    world.sql(FULL);
    write(&world, 3, 6).await;
    let reason = world.is("reconnecting").await.reason.expect("a reason");
    assert!(reason.contains("takes no messages: ") && reason.contains("no such table"), "{reason}");
    // Now the client cannot even start.
    world.gateway.wait_for_line(|line| line.contains("the client did not start; the gateway tries again"), SOON).await;
    assert_eq!(world.is("reconnecting").await.reason, Some(reason));
    write(&world, 6, 9).await;
    assert_eq!(world.simulator.messages("acknowledged").await.len(), 9, "what is not stored was acknowledged");
    world.sql(HAS_ROOM);
    all_in_order(&world, 8).await;
    all_acknowledged(&world).await;
    world.is("connected").await;
    world.finish().await;
}
