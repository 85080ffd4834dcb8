//! The session's folder takes nothing: the status says why, and nothing is lost, repeated or overtaken.
//!
//! A trigger and a missing table stand for a full disk: the client's writes fail, it cannot even start, and its open files
//! still work.

use crate::{
    outage::{all_acknowledged, all_in_order, write},
    world::{SOON, World},
};

const FULL: [&str; 2] = [
    "CREATE TRIGGER full BEFORE INSERT ON sessions BEGIN SELECT RAISE(FAIL, 'there is no room'); END",
    "ALTER TABLE device RENAME TO away",
];
const HAS_ROOM: [&str; 2] = ["ALTER TABLE away RENAME TO device", "DROP TRIGGER full"];

#[tokio::test]
async fn what_cannot_be_kept_comes_again_in_order_when_there_is_room() {
    let mut world = World::connected(&[]).await;
    write(&world, 0, 3).await;
    all_in_order(&world, 2).await;
    all_acknowledged(&world).await;
    for statement in FULL {
        world.sql(statement);
    }
    write(&world, 3, 6).await;
    let reason = world.is("reconnecting").await.reason.expect("a reason");
    assert!(reason.contains("takes no messages: ") && reason.contains("there is no room"), "{reason}");
    // Now the client cannot even start.
    world.gateway.wait_for_line(|line| line.contains("the client did not start; the gateway tries again"), SOON).await;
    assert_eq!(world.is("reconnecting").await.reason, Some(reason));
    write(&world, 6, 9).await;
    for statement in HAS_ROOM {
        world.sql(statement);
    }
    all_in_order(&world, 8).await;
    all_acknowledged(&world).await;
    world.is("connected").await;
    world.finish().await;
}
