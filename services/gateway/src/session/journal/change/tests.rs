//! What is made again elsewhere is the same, also if it is made twice.

use super::*;
use rusqlite::{Connection, types::Value};
use std::{collections::HashMap, path::Path};

async fn store(folder: &Path) -> SqliteStore {
    SqliteStore::new(folder.join("whatsapp.db").to_str().expect("a path")).await.expect("a database")
}

/// Every row of every table, but for the times at which rows were written.
fn dump(folder: &Path) -> Vec<String> {
    let database = Connection::open(folder.join("whatsapp.db")).expect("opened");
    let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").expect("SQL");
    let names: Vec<String> =
        names.query_map((), |row| row.get(0)).expect("names").map(|name| name.expect("a name")).collect();
    let mut rows = Vec::new();
    for name in names.iter().filter(|name| !name.starts_with("sqlite") && !name.starts_with("__")) {
        let mut all = database.prepare(&format!("SELECT * FROM \"{name}\"")).expect("SQL");
        let columns: Vec<String> = all.column_names().into_iter().map(str::to_owned).collect();
        let read = all.query_map((), |row| {
            let values = columns.iter().enumerate().filter(|(_, column)| !column.ends_with("_at"));
            Ok(values.map(|(index, _)| format!("{:?}", row.get::<_, Value>(index))).collect::<Vec<_>>().join(" "))
        });
        let mut read: Vec<String> = read.expect("rows").map(|row| row.expect("a row")).collect();
        read.sort();
        rows.extend(read.into_iter().map(|row| format!("{name}: {row}")));
    }
    rows
}

fn bytes(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 40])
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn pending(id: &str, message: Bytes) -> PendingChange {
    PendingChange { chat: text("1@lid"), sender: text("1@lid"), id: text(id), message }
}

/// Each change at least once.
fn every_change(device: Device) -> Vec<StoreChange> {
    use StoreChange as C;
    let pairs = |name: &str| (Arc::<str>::from(name), bytes(7));
    let mac = |byte| AppStateMutationMAC { index_mac: vec![byte; 32], value_mac: vec![byte; 32] };
    let device_list = |user: &str| DeviceListRecord {
        user: text(user),
        devices: vec![wacore::store::traits::DeviceInfo::new(0, None)],
        timestamp: 5,
        phash: Some(text("2:abc")),
        raw_id: None,
    };
    let secret = |id: &str| MsgSecretEntry {
        chat: "1@lid".into(),
        sender: "1@lid".into(),
        msg_id: id.into(),
        secret: [4; 32],
        expires_at: i64::from(u32::MAX),
        message_ts: 3,
    };
    let lid = LidPnMappingEntry {
        lid: text("123456789012345"),
        phone_number: text("6281230000001"),
        created_at: 1,
        updated_at: 2,
        learning_source: text("usync"),
    };
    let token = TcTokenEntry { token: vec![1, 2], token_timestamp: 9, sender_timestamp: None };
    let state = HashState { version: 3, hash: [6; 128], index_value_map: HashMap::new(), mac_mismatch_fatal: false };
    vec![
        C::Taken,
        C::Poll(text("{}")),
        C::Snapshot { object: text("default.1"), sequence: 1 },
        C::CreateDevice,
        C::SaveDevice(Box::new(device)),
        C::PutIdentities(vec![("a".into(), [1; 32]), ("b".into(), [2; 32])]),
        C::DeleteIdentity(text("b")),
        C::PutSessions(vec![pairs("a"), pairs("b")]),
        C::DeleteSession(text("b")),
        C::StorePrekeys { keys: vec![(1, bytes(1)), (2, bytes(2)), (3, bytes(3))], uploaded: false },
        C::MarkPrekeysUploaded(vec![1]),
        C::RemovePrekey(2),
        C::StoreSignedPrekey { id: 1, record: bytes(1) },
        C::StoreSignedPrekey { id: 2, record: bytes(2) },
        C::RemoveSignedPrekey(2),
        C::PutSenderKeys(vec![pairs("g@g.us:a"), pairs("g@g.us:b")]),
        C::DeleteSenderKey(text("g@g.us:b")),
        C::SetSyncKey { id: bytes(1), key: AppStateSyncKey { key_data: vec![1; 32], ..AppStateSyncKey::default() } },
        C::SetVersion { name: text("regular"), state },
        C::PutMutationMacs { name: text("regular"), version: 3, macs: vec![mac(1), mac(2)] },
        C::DeleteMutationMacs { name: text("regular"), index_macs: vec![Bytes::from(vec![2; 32])] },
        C::PutMutationMacs { name: text("regular_low"), version: 1, macs: vec![mac(1)] },
        C::ClearMutationMacs(text("regular_low")),
        C::SetSenderKeyStatus { group: text("g@g.us"), entries: vec![(text("1@lid"), true), (text("2@lid"), false)] },
        C::DeleteSenderKeyDevices(vec![text("2@lid")]),
        C::ClearSenderKeyDevices(text("other@g.us")),
        C::PutLidMappings(vec![lid]),
        C::SaveBaseKey { address: text("a"), message: text("M1"), key: bytes(1) },
        C::SaveBaseKey { address: text("a"), message: text("M2"), key: bytes(2) },
        C::DeleteBaseKey { address: text("a"), message: text("M2") },
        C::UpdateDeviceLists(vec![device_list("1"), device_list("2")]),
        C::DeleteDevices(text("2")),
        C::PutGroupMetadata { group: text("g@g.us"), blob: bytes(1) },
        C::PutGroupMetadata { group: text("h@g.us"), blob: bytes(1) },
        C::DeleteGroupMetadata(text("h@g.us")),
        C::PutTcToken { jid: text("1"), entry: token.clone() },
        C::PutTcToken { jid: text("2"), entry: token },
        C::DeleteTcToken(text("2")),
        C::TouchTcToken { jid: text("1"), sender_timestamp: 11 },
        C::StoreReceivedTcToken { jid: text("3"), token: bytes(3), timestamp: 12 },
        C::DeleteExpiredTcTokens { token_cutoff: 1, sender_cutoff: 1 },
        C::StoreSentMessage { chat: text("1@lid"), message: text("M1"), payload: bytes(1) },
        C::StoreSentMessage { chat: text("1@lid"), message: text("M2"), payload: bytes(2) },
        C::TakeSentMessage { chat: text("1@lid"), message: text("M2") },
        C::DeleteExpiredSentMessages(1),
        C::Pending { published: Vec::new(), kept: vec![pending("M1", bytes(1)), pending("M2", bytes(2))] },
        C::Pending { published: vec![pending("M1", Bytes::new())], kept: vec![pending("M3", bytes(3))] },
        C::DeleteExpiredPending(1),
        C::PutMessageSecret { chat: text("1@lid"), sender: text("1@lid"), message: text("M1"), secret: [5; 32] },
        C::PutMessageSecrets(vec![secret("M2")]),
        C::DeleteExpiredMessageSecrets(1),
    ]
}

fn copied(change: &StoreChange) -> StoreChange {
    let stored = rmp_serde::to_vec_named(change).expect("written");
    rmp_serde::from_slice(&stored).expect("read")
}

#[tokio::test]
async fn each_change_is_the_same_elsewhere_and_when_it_is_made_twice() {
    let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (one, two) = (store(here.path()).await, store(there.path()).await);
    let mut device = Device::new();
    device.push_name = text("Budi");
    device.pn = "6281230000001:3@s.whatsapp.net".parse().ok();
    let changes = every_change(device);
    for change in &changes {
        copied(change).apply(&one).await.expect("applied");
    }
    for _ in 0..2 {
        for change in &changes {
            copied(change).apply(&two).await.expect("applied");
        }
    }
    let (one, two) = (dump(here.path()), dump(there.path()));
    assert_eq!(one, two);
    for expected in ["6281230000001:3@s.whatsapp.net", "123456789012345", "M3", "regular"] {
        assert!(one.iter().any(|row| row.contains(expected)), "{expected}: {one:#?}");
    }
    copied(&StoreChange::ClearAllSenderKeyDevices).apply(&store(here.path()).await).await.expect("applied");
    assert!(!dump(here.path()).iter().any(|row| row.starts_with("sender_key_devices")), "{:#?}", dump(here.path()));
}
