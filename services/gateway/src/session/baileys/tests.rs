//! What is damaged or foreign, in folders that are made here. Folders of the real Baileys are taken over in `tests/it/adoption`.

use super::{
    BaileysFolder, BaileysKeys, UnusableFolder,
    addresses::{FileAddress, KnownPeople},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::fs;
use wacore::libsignal::protocol::KeyPair;

fn buffer(bytes: &[u8]) -> Value {
    json!({"type": "Buffer", "data": BASE64_STANDARD.encode(bytes)})
}

fn key_pair() -> Value {
    let pair = KeyPair::generate(&mut rand::rng());
    json!({"private": buffer(pair.private_key.serialize().as_ref()), "public": buffer(pair.public_key.public_key_bytes())})
}

fn credentials() -> Value {
    json!({
        "noiseKey": key_pair(),
        "signedIdentityKey": key_pair(),
        "pairingEphemeralKeyPair": key_pair(),
        "signedPreKey": {"keyPair": key_pair(), "signature": buffer(&[7; 64]), "keyId": 1},
        "registrationId": 77,
        "advSecretKey": BASE64_STANDARD.encode([9; 32]),
        "nextPreKeyId": 31,
        "firstUnuploadedPreKeyId": 31,
        "me": {"id": "6281230000001:12@s.whatsapp.net", "lid": "123456789012345:12@lid", "name": "Budi"},
        "account": {
            "details": buffer(b"details"),
            "accountSignatureKey": buffer(&[1; 32]),
            "accountSignature": buffer(&[2; 64]),
            "deviceSignature": buffer(&[3; 64]),
        },
        "registered": false,
    })
}

fn read(files: &[(&str, Value)]) -> Result<BaileysKeys, UnusableFolder> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        fs::write(folder.path().join(name), text).expect("written");
    }
    BaileysKeys::read(&BaileysFolder::read(folder.path())?)
}

#[test]
fn credentials_are_read_whole_or_named() {
    let keys = read(&[("creds.json", credentials())]).expect("keys");
    assert_eq!(keys.device(), "6281230000001:12@s.whatsapp.net");
    assert_eq!(keys.account().as_str(), "6281230000001@s.whatsapp.net");
    let with = |path: &str, value: Value| {
        let mut changed = credentials();
        *changed.pointer_mut(path).expect("a field") = value;
        changed
    };
    let other = key_pair();
    for (creds, expected) in [
        (with("/me", Value::Null), "is of a session that was never paired"),
        (with("/account", Value::Null), "is of a session that was never paired"),
        (with("/noiseKey/private", json!("AAAA")), "is damaged at noiseKey: the private key has 3 bytes, not 32"),
        (with("/noiseKey/public", other["public"].clone()), "the public key does not belong to the private one"),
        (with("/signedPreKey/signature", json!("")), "is damaged at signedPreKey.signature: has 0 bytes, not 64"),
        (with("/advSecretKey", json!("AAAA")), "is damaged at advSecretKey"),
        (with("/account/deviceSignature", json!([])), "is damaged at account"),
        (with("/me/id", json!("6281230000001@s.whatsapp.net")), "it names no linked device"),
        (with("/me/id", json!("nobody")), "is damaged at me.id"),
        (json!({"some": "other program"}), "cannot be read: missing field"),
        (json!("{\"noiseKey\": {\"priv"), "cannot be read"),
        (json!(""), "cannot be read"),
    ] {
        let refused = read(&[("creds.json", creds)]).err().expect("refused").to_string();
        assert!(refused.starts_with("creds.json ") && refused.contains(expected), "{expected}: {refused}");
    }
    let refused = read(&[("package.json", json!({}))]).err().expect("refused").to_string();
    assert_eq!(refused, "creds.json is missing: this is no folder of a Baileys session");
}

#[test]
fn any_other_damaged_file_is_left_out_and_named() {
    let half = json!("{\"_sessions\": {\"BQ");
    let names = [
        "session-6281230000002.0.json",
        "session-no_device.json",
        "pre-key-1.json",
        "pre-key-x.json",
        "sender-key-12345@g.us--6281230000002--0.json",
        "app-state-sync-key-AAAA.json",
        "app-state-sync-version-regular.json",
        "tctoken-123@lid.json",
    ];
    let mut files: Vec<_> = names.iter().map(|name| (*name, half.clone())).collect();
    files.push(("creds.json", credentials()));
    // What Kurir does not need is no reason to name it.
    files.extend([("device-list-1.json", half.clone()), ("sender-key-memory-12345@g.us.json", half)]);
    let mut left_out = read(&files).expect("keys").left_out;
    left_out.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(left_out, expected);
}

#[test]
fn privacy_tokens_are_read_in_every_form_and_their_index_is_not_needed() {
    let token = |token: &[u8], times: Value| {
        let mut content = json!({"token": buffer(token)});
        content.as_object_mut().expect("an object").extend(times.as_object().expect("an object").clone());
        content
    };
    let keys = read(&[
        ("creds.json", credentials()),
        ("tctoken-1@lid.json", token(b"one", json!({"timestamp": "1700000000", "senderTimestamp": 1_700_000_100}))),
        ("tctoken-2@lid.json", token(b"two", json!({"timestamp": 1_700_000_200}))),
        // An old token was dropped, or there never was one.
        ("tctoken-3@lid.json", token(b"", json!({"senderTimestamp": 1_700_000_300}))),
        ("tctoken-__index.json", token(br#"["1@lid","2@lid"]"#, json!({}))),
    ]);
    let keys = keys.expect("keys");
    assert_eq!(keys.left_out, Vec::<String>::new());
    let read: Vec<_> = keys
        .privacy_tokens
        .iter()
        .map(|(user, entry)| (user.as_str(), &entry.token[..], entry.token_timestamp, entry.sender_timestamp))
        .collect();
    let expected: [(&str, &[u8], i64, Option<i64>); 3] = [
        ("1", b"one", 1_700_000_000, Some(1_700_000_100)),
        ("2", b"two", 1_700_000_200, None),
        ("3", b"", 0, Some(1_700_000_300)),
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_tar_file_holds_one_folder() {
    let pack = |files: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).expect("written");
        }
        tar.into_inner().expect("a tar file")
    };
    let creds = credentials().to_string();
    for names in [["creds.json", "pre-key-1.json"], ["sessions/creds.json", "sessions/pre-key-1.json"]] {
        let packed = pack(&[(names[0], &creds), (names[1], "{}")]);
        let folder = BaileysFolder::from_tar(packed.as_slice()).expect("a folder");
        assert_eq!(BaileysKeys::read(&folder).expect("keys").left_out, ["pre-key-1.json"]);
    }
    let packed = pack(&[("one/creds.json", &creds), ("two/creds.json", &creds)]);
    let refused = BaileysFolder::from_tar(packed.as_slice()).err().expect("refused").to_string();
    assert!(refused.contains("more than one folder"), "{refused}");
}

#[test]
fn a_number_and_a_lid_with_one_identity_are_one_person() {
    let folder = BaileysFolder::from_tar(&[0; 1024][..]).expect("an empty folder");
    let address = |user: &str, device: &str| FileAddress::new(user, device).expect("an address");
    let mut people = KnownPeople::read(&folder, (None, None));
    people.learn([
        (address("6281230000002", "0"), [1; 32]),
        (address("123456789012345", "0"), [1; 32]),
        (address("6281230000003", "0"), [2; 32]),
        // Three cannot be one person.
        (address("6281230000004", "0"), [3; 32]),
        (address("6281230000005", "0"), [3; 32]),
        (address("223456789012345", "0"), [3; 32]),
    ]);
    assert_eq!(people.pairs().collect::<Vec<_>>(), [("6281230000002", "123456789012345")]);
    for (user, device, expected) in [
        ("6281230000002", "4", "123456789012345:4@lid"),
        ("123456789012345", "0", "123456789012345@lid"),
        ("6281230000003", "0", "6281230000003@s.whatsapp.net"),
        ("323456789012345", "0", "323456789012345@lid"),
        ("323456_1", "2", "323456:2@lid"),
        ("6281230000003_128", "99", "6281230000003:99@hosted"),
    ] {
        let resolved = people.resolve(&address(user, device)).map(|jid| jid.to_string());
        assert_eq!(resolved.as_deref(), Some(expected), "{user}.{device}");
    }
    assert_eq!(people.resolve(&address("1_77", "0")), None);
    for (user, device) in [("", "0"), ("budi", "0"), ("62812", "x"), ("62812_x", "0")] {
        assert_eq!(FileAddress::new(user, device), None, "{user}.{device}");
    }
}
