//! A session whose file cannot be used says so at once, in its status, its event, the log, `/readyz` and every command, and
//! goes on when the file is back.

use crate::world::{BUDI, SOON, World};
use kurir_contract::command::{Command, CommandErrorCode, EmptyBody, LoggedOut, SessionInfo};
use kurir_test_harness::{Port, http};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Long before the half minute for which the library would try.
const AT_ONCE: Duration = Duration::from_secs(10);

fn damage(how: &str, file: &Path, whole: &[u8]) {
    for name in ["whatsapp.db-wal", "whatsapp.db-shm"] {
        let _ = fs::remove_file(file.with_file_name(name));
    }
    match how {
        "truncated" => fs::write(file, &whole[..whole.len() / 2]).expect("written"),
        "garbage" => fs::write(file, vec![0x5a; 20_000]).expect("written"),
        "folder" => {
            fs::remove_file(file).expect("removed");
            fs::create_dir(file).expect("a folder");
        }
        other => panic!("no such damage: {other}"),
    }
}

fn repair(file: &Path, whole: &[u8]) {
    if file.is_dir() {
        fs::remove_dir(file).expect("removed");
    }
    fs::write(file, whole).expect("written");
}

#[tokio::test]
async fn a_damaged_session_says_so_at_once_and_goes_on_when_it_is_repaired() {
    let health = Port::reserve();
    let listen = health.addr().to_string();
    let mut world = World::connected(&[("HEALTH_LISTEN", &listen)]).await;
    let file = world.gateway.folder().join("sessions/default/whatsapp.db");
    for (how, expected) in
        [("truncated", "is damaged"), ("garbage", "is no SQLite database"), ("folder", "is a folder")]
    {
        assert!(world.gateway.terminate(SOON).await.success(), "{how}");
        // One file, without a log beside it.
        world.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        let whole = fs::read(&file).expect("the keys");
        damage(how, &file, &whole);
        world.gateway.start_again();
        let reason = world.is("damaged").await.reason.expect("a reason");
        assert!(reason.contains(expected) && reason.contains("whatsapp.db"), "{how}: {reason}");
        let begun = Instant::now();
        let refused = world.send(BUDI, "hello").await.expect_err("refused");
        assert_eq!(refused.code, CommandErrorCode::NotConnected, "{how}");
        assert!(begun.elapsed() < AT_ONCE, "{how}: {:?}", begun.elapsed());
        world.event("session.damaged", |data| data["reason"] == reason.as_str()).await;
        let answer = http::client().get(format!("http://{listen}/readyz")).send().await.expect("an answer");
        assert_eq!(answer.status(), 503, "{how}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["problem"], reason.as_str(), "{how}");
        world.gateway.wait_for_line(|line| line.contains(expected), SOON).await;

        repair(&file, &whole);
        let _: SessionInfo = world.ask(Command::Restart, EmptyBody {}).await.expect("a restart");
        world.is("connected").await;
        let answer = http::client().get(format!("http://{listen}/readyz")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{how}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_damaged_session_is_paired_again_after_a_logout() {
    let mut world = World::connected(&[]).await;
    let file = world.gateway.folder().join("sessions/default/whatsapp.db");
    assert!(world.gateway.terminate(SOON).await.success());
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let whole = fs::read(&file).expect("the keys");
    damage("folder", &file, &whole);
    world.gateway.start_again();
    world.is("damaged").await;
    let logged_out: LoggedOut = world.ask(Command::Logout, EmptyBody {}).await.expect("a logout");
    assert!(!logged_out.was_paired, "what cannot be read says nothing of a pairing");
    world.is("logged_out").await;
    assert!(file.with_file_name("whatsapp.db.damaged").is_dir(), "what somebody put there is kept");
    let _: SessionInfo = world.ask(Command::Restart, EmptyBody {}).await.expect("a restart");
    world.is("connected").await;
    world.finish().await;
}
