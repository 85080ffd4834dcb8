//! The control API: bad bodies, loads, filters.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Phone, Sim};

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_with_the_reason() {
    let sim = Sim::start().await;
    let table = [
        ("/contacts/15550200001/messages", "no json", 400, "not what this call takes"),
        ("/contacts/15550200001/messages", "{}", 409, "pair one first"),
        ("/contacts/15550200001/messages", r#"{"to":"15550100001"}"#, 400, "`text` is missing"),
        ("/contacts/15550200001/messages", r#"{"text":"x","tex":"y"}"#, 400, "unknown field `tex`"),
        ("/contacts/15550200001/messages", r#"{"text":5}"#, 400, "invalid type"),
        ("/contacts/15550200001/messages", r#"{"text":"x","to":"0812"}"#, 400, "is not a phone number"),
        ("/contacts/15550200001/messages", r#"{"text":"x","to":"15550100001"}"#, 409, "has no companion"),
        ("/contacts/15550200001/messages", r#"{"type":"image","to":"15550100001"}"#, 400, "`base64` is missing"),
        ("/contacts/15550200001/messages", r#"{"type":"image","base64":"???","to":"15550100001"}"#, 400, "not base64"),
        ("/contacts/15550200001/messages", r#"{"type":"gif","text":"x"}"#, 400, "unknown variant `gif`"),
        ("/contacts/15550200001/messages", r#"{"text":"x","addressing":"both"}"#, 400, "unknown variant `both`"),
        ("/contacts/15550200001/messages", r#"{"text":"x","to":"15550100001","group":"1@g.us"}"#, 400, "not both"),
        ("/contacts/+15550200001/messages", r#"{"text":"x"}"#, 400, "is not a phone number"),
        ("/contacts/15550200001/receipts", r#"{"id":"x","type":"seen"}"#, 400, "unknown variant `seen`"),
        ("/contacts/15550200001/receipts", r#"{"id":"x","type":"read"}"#, 404, "received no message"),
        ("/admin/mock-phone/scan-qr", "nonsense", 400, "a QR code is"),
        ("/admin/mock-phone/scan-qr", "2@x,AA,AA,AA,1", 400, "32 bytes"),
        ("/admin/mock-phone/enter-code", r#"{"number":"15550100001"}"#, 400, "missing field `code`"),
        ("/load", r#"{"messages":0,"rate":1,"contacts":1}"#, 400, "`messages` is 1 to"),
        ("/load", r#"{"messages":1,"rate":0,"contacts":1}"#, 400, "`rate` is above 0"),
        ("/load", r#"{"messages":1,"rate":1,"contacts":0}"#, 400, "`contacts` is 1 to"),
        ("/load", r#"{"messages":1,"rate":1,"contacts":1,"contactsOf":"L1"}"#, 400, "either `contacts` or"),
        ("/load", r#"{"messages":1,"rate":1}"#, 400, "either `contacts` or"),
        ("/load", r#"{"messages":1,"rate":1,"contacts":1,"group":"1@g.us"}"#, 400, "either `contacts` or"),
        ("/load", r#"{"messages":1,"rate":1,"contacts":1}"#, 409, "pair one first"),
        ("/connections/refuse", "{}", 400, "give `failure`"),
        ("/connections/refuse", r#"{"failure":503,"streamError":503}"#, 400, "one of the two"),
        ("/connections/refuse", r#"{"failure":7}"#, 400, "no reason of a failure"),
        ("/connections/refuse", r#"{"streamError":"gone"}"#, 400, "is no stream error"),
        ("/connections/drop", r#"{"number":"15550199999"}"#, 404, "is no account"),
        ("/sessions/logout", r#"{"number":"15550199999"}"#, 404, "no such companion"),
        ("/faults", r#"{"kind":"explode"}"#, 400, "unknown variant `explode`"),
        ("/faults", r#"{"kind":"nack","match":{"contat":"1"}}"#, 400, "unknown field `contat`"),
        ("/faults", r#"{"kind":"delay"}"#, 400, "a delay needs `delayMs`"),
        ("/faults", r#"{"kind":"lose","code":400}"#, 400, "`code` belongs to a nack"),
        ("/groups", r#"{"subject":"G","participants":[]}"#, 400, "at least one participant"),
        ("/clock", r#"{"days":9223372036854775807}"#, 400, "at most a hundred years"),
        ("/nothing", "{}", 404, "there is no /nothing"),
        ("/accounts", "{}", 405, "does not take POST"),
    ];
    for (path, body, status, reason) in table {
        let (got, answer) = sim.raw(path, body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert_eq!(got, status, "POST {path} {body}: {answer}");
        assert!(error.contains(reason), "POST {path} {body}: {answer}");
    }
    for path in ["/messages?state=lost", "/messages?contact=x", "/messages?since=1"] {
        assert_eq!(sim.call("GET", path, None).await.0, 400, "{path}");
    }
    assert_eq!(sim.call("GET", "/load/none", None).await.0, 404);
    assert_eq!(sim.call("DELETE", "/faults/7", None).await.0, 404);
    assert_eq!(sim.get("/accounts").await, json!([]));
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_says_everything_once_in_order() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let load = json!({"messages": 1_000, "rate": 2_000, "contacts": 7});
    let id = sim.post("/load", load).await["id"].as_str().unwrap().to_owned();
    let progress = sim.until(&format!("/load/{id}"), |progress| progress["acknowledged"] == 1_000).await;
    eprintln!("1000 messages acknowledged, said in {} ms", progress["elapsedMs"]);
    assert_eq!((&progress["sent"], &progress["done"]), (&json!(1_000), &json!(true)));
    let heard = phone.heard();
    assert_eq!(heard.len(), 1_000);
    for contact in progress["contacts"].as_array().unwrap() {
        let chat = format!("{}@s.whatsapp.net", contact.as_str().unwrap());
        let texts: Vec<&str> =
            heard.iter().filter(|heard| heard.chat.to_string() == chat).map(|heard| heard.text.as_str()).collect();
        let wanted: Vec<String> = (1..=texts.len()).map(|n| format!("{id} {n}")).collect();
        assert_eq!(texts, wanted);
        assert!((142..=143).contains(&texts.len()));
    }
    let lines = sim.get("/messages?state=acknowledged").await;
    assert_eq!(lines.as_array().unwrap().len(), 1_000);
    // The same contacts write again.
    let again = json!({"messages": 7, "rate": 1_000, "contactsOf": id});
    let again = sim.post("/load", again).await["id"].as_str().unwrap().to_owned();
    let second = sim.until(&format!("/load/{again}"), |progress| progress["done"] == true).await;
    assert_eq!(second["contacts"], progress["contacts"]);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_in_a_group_is_written_by_its_members_in_order() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let members = ["15550260001", "15550260002", "15550260003"];
    let group = sim.post("/groups", json!({"subject": "Busy", "participants": members})).await["id"].clone();
    let load = json!({"messages": 90, "rate": 2_000, "group": group});
    let id = sim.post("/load", load).await["id"].as_str().unwrap().to_owned();
    let progress = sim.until(&format!("/load/{id}"), |progress| progress["acknowledged"] == 90).await;
    assert_eq!(progress["contacts"], json!(members));
    let texts: Vec<String> =
        phone.heard().into_iter().filter(|heard| group == *heard.chat.to_string()).map(|heard| heard.text).collect();
    let wanted: Vec<String> = (0..90).map(|index| format!("{id} {}", index / 3 + 1)).collect();
    assert_eq!(texts, wanted);
    let missing = json!({"messages": 1, "rate": 1, "group": "1203630@g.us", "to": "15550100001"});
    assert_eq!(sim.call("POST", "/load", Some(missing)).await.0, 404);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_wait_while_nobody_is_there() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    // The phone's greeting is acknowledged, so that only the load waits.
    sim.until("/accounts", |accounts| accounts[0]["devices"][0]["pending"] == 0).await;
    phone.shutdown().await;
    sim.until("/accounts", |accounts| accounts[0]["devices"][0]["connected"] == false).await;
    let load = json!({"messages": 10_000, "rate": 100_000, "contacts": 10, "to": "15550100001"});
    let id = sim.post("/load", load).await["id"].as_str().unwrap().to_owned();
    let progress = sim.until(&format!("/load/{id}"), |progress| progress["done"] == true).await;
    let elapsed = progress["elapsedMs"].as_u64().unwrap();
    eprintln!("10000 messages encrypted and queued in {elapsed} ms");
    assert!(elapsed < 20_000, "at least 500 a second, also in a debug build");
    let accounts: Value = sim.get("/accounts").await;
    assert_eq!(accounts[0]["devices"][0]["pending"], 10_000);
    let contact = progress["contacts"][0].as_str().unwrap();
    let lines = sim.get(&format!("/messages?state=queued&contact={contact}")).await;
    assert_eq!(lines.as_array().unwrap().len(), 1_000);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_by_days() {
    let sim = Sim::start().await;
    let before = sim.get("/clock").await["now"].as_i64().unwrap();
    let after = sim.post("/clock", json!({"days": 12})).await["now"].as_i64().unwrap();
    assert!((after - before - 12 * 86_400).abs() < 60);
    sim.stop().await;
}
