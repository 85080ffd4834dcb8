//! The session of a program that uses Baileys is taken over without a new pairing: from folders that the real Baileys wrote,
//! in its newest line and in the one before.

use crate::{
    fleet::KEY,
    world::{SOON, World},
};
use kurir_contract::command::{Command, EmptyBody, LoggedOut};
use kurir_test_harness::{
    Nats, Process,
    stack::Simulator,
    until,
    witness::{Client, STORE, Witness},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

/// Wrote and was answered.
const FRIEND: &str = "15550200001";
/// Was written to and never answered.
const STRANGER: &str = "15550200002";

/// What a Baileys program left behind.
struct OldProgram {
    simulator: Simulator,
    folder: tempfile::TempDir,
    number: String,
    group: String,
}

/// Pairs the real Baileys and lets it talk; none if it cannot be had here.
async fn old_program(client: Client) -> Option<OldProgram> {
    // So that the older line's handshake succeeds more often than not; it tries again.
    let simulator = Simulator::start_with(false, [("SIMULATOR_LATENCY_MS", "50".to_owned())]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut witness = Witness::start(client, &simulator.url(""), folder.path()).await?;
    let scan = async |code: String| simulator.scan(&code).await;
    witness.pair(scan).await;
    let accounts = simulator.get("/accounts").await;
    let number = accounts[0]["number"].as_str().expect("a number").to_owned();
    for round in 1..=3 {
        let hello = format!("hello {round}");
        simulator.contact_writes(FRIEND, &hello).await;
        witness.until_text(&hello).await;
        witness.order(json!({"do": "send", "to": FRIEND, "text": format!("answer {round}")}));
        witness.until("sent").await;
    }
    witness.order(json!({"do": "send", "to": STRANGER, "text": "who are you?"}));
    witness.until("sent").await;
    witness.order(json!({"do": "group_create", "name": "Us", "with": [FRIEND, STRANGER]}));
    let group = witness.until("group_created").await["id"].as_str().expect("an id").to_owned();
    simulator.contact_sends(FRIEND, json!({"text": "hello group", "group": group})).await;
    witness.until_text("hello group").await;
    witness.order(json!({"do": "send", "to": group, "text": "hello all"}));
    witness.until("sent").await;
    for contact in [FRIEND, STRANGER] {
        simulator.contact_receives(contact, "hello all", SOON, |message| message["text"] == "hello all").await;
    }
    witness.order(json!({"do": "disconnect"}));
    witness.until("disconnected").await;
    drop(witness);
    until("the old program to be gone", SOON, || async {
        let accounts = simulator.get("/accounts").await;
        if accounts[0]["devices"][0]["connected"] == false { Ok(()) } else { Err(accounts) }
    })
    .await;
    Some(OldProgram { simulator, folder, number, group })
}

/// The files of Baileys.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file() && entry.file_name() != ".kurir-home");
    files
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file")))
        .collect()
}

/// How often somebody could not read something and asked for it again.
async fn asked_again(simulator: &Simulator) -> [Value; 3] {
    let statistics = simulator.get("/statistics").await;
    ["decryptionFailures", "retryRequestsFromClient", "retryRequestsToClient"].map(|name| statistics[name].clone())
}

async fn arrives(world: &World, text: &str) -> Value {
    world.data("message.received", |data| data["content"]["text"] == text).await
}

async fn sends(world: &World, to: &str, contact: &str, text: &str) {
    world.send(to, text).await.expect("sent");
    world.simulator.contact_receives(contact, text, SOON, |message| message["text"] == text).await;
}

async fn is_taken_over(client: Client, settings: &[(&str, &str)]) {
    let Some(OldProgram { simulator, folder, number, group }) = old_program(client).await else { return };
    let store = folder.path().join(STORE);
    let before = files(&store);
    simulator.contact_writes(FRIEND, "while nobody was there").await;
    simulator.contact_sends(FRIEND, json!({"text": "group while away", "group": group})).await;

    let asked = asked_again(&simulator).await;
    let path = store.to_str().expect("a path").to_owned();
    let settings: Vec<_> = [("WHATSAPP_SESSION_PATH", path.as_str())].iter().chain(settings).copied().collect();
    let mut world = World::start_beside(Nats::start().await, simulator, &settings).await;
    let status = world.is("connected").await;
    assert_eq!(status.jid.expect("an account").as_str(), format!("{number}@s.whatsapp.net"));
    let output = world.gateway.output();
    assert!(output.contains("was taken over from") && !output.contains("is pairing"), "{output}");

    arrives(&world, "while nobody was there").await;
    arrives(&world, "group while away").await;
    for (contact, text) in [(FRIEND, "after the move"), (STRANGER, "I am the stranger")] {
        world.simulator.contact_writes(contact, text).await;
        arrives(&world, text).await;
        sends(&world, contact, contact, &format!("from the new one to {contact}")).await;
    }
    for contact in [FRIEND, STRANGER] {
        let text = format!("{contact} to the group");
        world.simulator.contact_sends(contact, json!({"text": text, "group": group})).await;
        arrives(&world, &text).await;
        sends(&world, &group, contact, &format!("to the group, {contact} as well")).await;
    }
    assert_eq!(world.events_of("message.undecryptable").await.len(), 0);
    assert_eq!(asked_again(&world.simulator).await, asked, "keys were not taken over, but made anew");
    assert_eq!(files(&store), before, "the folder of the old program changed");
    let output = world.gateway.output();
    let left_out: Vec<&str> = output.lines().filter(|line| line.contains("not taken over")).collect();
    assert_eq!(left_out, Vec::<&str>::new());

    // It is Kurir's session now: it is taken over once.
    assert!(world.gateway.terminate(SOON).await.success());
    world.gateway.start_again();
    world.is("connected").await;
    world.simulator.contact_writes(FRIEND, "after a restart").await;
    arrives(&world, "after a restart").await;
    let _: LoggedOut = world.ask(Command::Logout, EmptyBody {}).await.expect("a logout");
    assert!(world.gateway.terminate(SOON).await.success());
    world.gateway.start_again();
    world.is("pairing").await;
    assert_eq!(files(&store), before, "the folder of the old program changed");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_baileys_7_is_taken_over() {
    is_taken_over(Client::Baileys, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_baileys_6_is_taken_over() {
    is_taken_over(Client::Baileys6, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_baileys_is_taken_over_into_nats() {
    is_taken_over(Client::Baileys, &[("SESSION_STORE", "nats"), ("SESSION_KEY", KEY)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_folder_is_named_and_never_paired_anew() {
    let nats = Nats::start().await;
    let whole = json!({"me": {"id": "6281230000001:3@s.whatsapp.net"}}).to_string();
    for (content, expected) in [
        (whole.as_str(), "creds.json cannot be read"),
        (&whole[..20], "creds.json cannot be read"),
        ("", "creds.json cannot be read"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("creds.json"), content).expect("written");
        let path = folder.path().to_str().expect("a path").to_owned();
        let url = nats.url();
        let own = [("NATS_URL", url.as_str()), ("LOG_FILE", ""), ("WHATSAPP_SESSION_PATH", &path)];
        let login = Nats::login("gateway");
        let login = login.iter().map(|(variable, value)| (variable.as_str(), value.as_str()));
        let binary = env!("CARGO_BIN_EXE_kurir-gateway-for-simulator");
        let mut gateway = Process::spawn("gateway", binary, login.chain(own));
        assert!(!gateway.exited(SOON).await.success(), "{content:?}");
        let output = gateway.output();
        assert!(output.contains(expected), "{content:?}: {output}");
        assert_eq!(fs::read_to_string(folder.path().join("creds.json")).expect("still there"), content);
    }
}
