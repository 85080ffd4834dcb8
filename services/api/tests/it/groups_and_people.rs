//! Groups, people, pictures and calls, as they reach the gateway, and what is refused before.

use crate::{
    api::{Api, KEY, answer},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";
const GROUPS: &str = "/api/whatsapp/groups";

fn group() -> Value {
    json!({
        "id": GROUP, "subject": "Team", "description": null, "owner": BUDI_JID, "createdAt": "2026-11-24T13:00:00.000Z",
        "announcement": false, "locked": false, "size": 1,
        "participants": [{"jid": BUDI_JID, "pn": BUDI_JID, "lid": "1@lid", "admin": "superadmin"}],
    })
}

fn summary() -> Value {
    json!({
        "id": GROUP, "subject": "Team", "owner": BUDI_JID, "createdAt": null, "announcement": false, "locked": true,
        "size": 3,
    })
}

fn result() -> Value {
    json!({"jid": BUDI_JID, "ok": false, "code": 409, "message": "is in the group already"})
}

/// As the API shows it: a code is a string, and WhatsApp's number stands beside it.
fn shown_result() -> Value {
    json!({
        "jid": BUDI_JID, "ok": false, "code": "refused_by_whatsapp", "whatsappCode": 409,
        "message": "is in the group already",
    })
}

fn replies(command: Command, _: &Value) -> Option<Value> {
    let person = json!({"jid": BUDI_JID, "pn": BUDI_JID, "lid": null});
    let reply = match command {
        Command::Status => return Some(connected()),
        Command::ListGroups => json!({"groups": [summary()], "next": GROUP}),
        Command::Group | Command::ChangeGroup => group(),
        Command::CreateGroup => json!({"group": group(), "participants": [result()]}),
        Command::AddParticipants
        | Command::RemoveParticipants
        | Command::PromoteParticipants
        | Command::DemoteParticipants => json!({"participants": [result()]}),
        Command::GroupInvite | Command::RevokeGroupInvite => {
            json!({"link": "https://chat.whatsapp.com/ABC", "code": "ABC"})
        }
        Command::JoinGroup => json!({"id": GROUP, "pending": false}),
        Command::Contact => {
            let mut contact = person;
            contact["about"] = json!("busy");
            contact["picture"] = Value::Null;
            contact["business"] = json!(false);
            contact["verifiedName"] = Value::Null;
            contact
        }
        Command::Picture => json!({"picture": {"id": "7", "url": "https://example.org/7"}}),
        Command::SetPicture => json!({"id": "8"}),
        Command::Blocklist => json!({"people": [person]}),
        Command::Block | Command::Unblock => person,
        _ => json!({}),
    };
    Some(json!({"ok": reply}))
}

async fn call(api: &Api, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(api.request(method, path).header("X-API-Key", KEY).json(body)).await
}

#[tokio::test]
async fn each_route_asks_its_command_and_shows_the_answer() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let one = format!("{GROUPS}/{GROUP}");
    let people = json!({"participants": [BUDI, format!("+{BUDI}")]});
    let results = json!({"success": true, "data": {"participants": [shown_result()]}});
    let link = json!({"success": true, "data": {"link": "https://chat.whatsapp.com/ABC", "code": "ABC"}});
    let shown = json!({"success": true, "data": group()});
    let members = json!({"group": GROUP, "participants": [BUDI_JID]});
    let of_group = json!({"group": GROUP});
    let (none, of_budi) = (json!({}), json!({"number": BUDI}));
    let set = json!({"success": true, "data": {"id": "8"}});
    let person = json!({"jid": BUDI_JID, "pn": BUDI_JID, "lid": null});
    let cases = [
        (
            Method::GET,
            format!("{GROUPS}?limit=1&after=120363000000000000"),
            &none,
            200,
            Command::ListGroups,
            json!({"limit": 1, "after": "120363000000000000@g.us"}),
            json!({"success": true, "data": [summary()], "next": GROUP}),
        ),
        (
            Method::POST,
            GROUPS.to_owned(),
            &json!({"subject": " Team ", "participants": [BUDI]}),
            201,
            Command::CreateGroup,
            json!({"subject": "Team", "participants": [BUDI_JID]}),
            json!({"success": true, "data": group(), "participants": [shown_result()]}),
        ),
        (
            Method::GET,
            format!("{GROUPS}/120363000000000001"),
            &none,
            200,
            Command::Group,
            of_group.clone(),
            shown.clone(),
        ),
        (
            Method::PATCH,
            one.clone(),
            &json!({"description": null, "locked": true}),
            200,
            Command::ChangeGroup,
            json!({"group": GROUP, "subject": null, "description": "", "announcement": null, "locked": true}),
            shown,
        ),
        (
            Method::POST,
            format!("{one}/participants"),
            &people,
            200,
            Command::AddParticipants,
            members.clone(),
            results.clone(),
        ),
        (
            Method::DELETE,
            format!("{one}/participants"),
            &people,
            200,
            Command::RemoveParticipants,
            members.clone(),
            results.clone(),
        ),
        (
            Method::POST,
            format!("{one}/admins"),
            &people,
            200,
            Command::PromoteParticipants,
            members.clone(),
            results.clone(),
        ),
        (Method::DELETE, format!("{one}/admins"), &people, 200, Command::DemoteParticipants, members, results),
        (Method::GET, format!("{one}/invite"), &none, 200, Command::GroupInvite, of_group.clone(), link.clone()),
        (Method::DELETE, format!("{one}/invite"), &none, 200, Command::RevokeGroupInvite, of_group.clone(), link),
        (
            Method::POST,
            format!("{GROUPS}/join"),
            &json!({"link": "https://chat.whatsapp.com/ABC"}),
            200,
            Command::JoinGroup,
            json!({"code": "https://chat.whatsapp.com/ABC"}),
            json!({"success": true, "data": {"id": GROUP, "pending": false}}),
        ),
        (
            Method::POST,
            format!("{one}/leave"),
            &none,
            200,
            Command::LeaveGroup,
            of_group,
            json!({"success": true, "message": "Left the group"}),
        ),
        (
            Method::GET,
            format!("{one}/picture"),
            &none,
            200,
            Command::Picture,
            json!({"of": GROUP}),
            json!({"success": true, "data": {"id": "7", "url": "https://example.org/7"}}),
        ),
        (
            Method::PUT,
            format!("{one}/picture"),
            &json!({"picture": "data:image/jpeg;base64,/9j/"}),
            200,
            Command::SetPicture,
            json!({"group": GROUP, "picture": "/9j/"}),
            set.clone(),
        ),
        (
            Method::DELETE,
            "/api/whatsapp/profile/picture".to_owned(),
            &none,
            200,
            Command::SetPicture,
            json!({"group": null, "picture": null}),
            set,
        ),
        (
            Method::GET,
            format!("/api/whatsapp/contacts/{BUDI}"),
            &none,
            200,
            Command::Contact,
            json!({"number": BUDI_JID}),
            json!({"success": true, "data": {"jid": BUDI_JID, "pn": BUDI_JID, "lid": null, "about": "busy", "picture": null, "business": false, "verifiedName": null}}),
        ),
        (
            Method::GET,
            "/api/whatsapp/blocklist".to_owned(),
            &none,
            200,
            Command::Blocklist,
            json!({}),
            json!({"success": true, "data": [person], "next": null}),
        ),
        (
            Method::POST,
            "/api/whatsapp/block".to_owned(),
            &of_budi,
            200,
            Command::Block,
            json!({"number": BUDI_JID}),
            json!({"success": true, "message": "Blocked", "data": person}),
        ),
        (
            Method::POST,
            "/api/whatsapp/unblock".to_owned(),
            &of_budi,
            200,
            Command::Unblock,
            json!({"number": BUDI_JID}),
            json!({"success": true, "message": "Unblocked", "data": person}),
        ),
        (
            Method::POST,
            "/api/whatsapp/calls/CALL7/reject".to_owned(),
            &json!({"from": BUDI}),
            200,
            Command::RejectCall,
            json!({"call": "CALL7", "from": BUDI_JID}),
            json!({"success": true, "message": "Call rejected"}),
        ),
    ];
    for (at, (method, path, body, status, command, arguments, expected)) in cases.into_iter().enumerate() {
        let got = call(&api, method, &path, body).await;
        assert_eq!(got, (status, expected), "{path}");
        assert_eq!(gateway.commands()[at], (command, arguments), "{path}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_the_gateway_is_asked() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let one = format!("{GROUPS}/{GROUP}");
    let many = json!({"participants": vec![BUDI; 257]});
    for (method, path, body, code) in [
        (Method::POST, GROUPS.to_owned(), json!({"participants": [BUDI]}), "invalid_group"),
        (Method::POST, GROUPS.to_owned(), json!({"subject": "x".repeat(101)}), "invalid_group"),
        (Method::POST, GROUPS.to_owned(), json!({"subject": "x", "participants": BUDI}), "invalid_participants"),
        (Method::GET, format!("{GROUPS}/hello"), json!({}), "invalid_group"),
        (Method::GET, format!("{GROUPS}/{BUDI_JID}"), json!({}), "invalid_group"),
        (Method::GET, format!("{GROUPS}?limit=0"), json!({}), "invalid_query"),
        (Method::PATCH, one.clone(), json!({}), "invalid_group"),
        (Method::PATCH, one.clone(), json!({"locked": "yes"}), "invalid_group"),
        (Method::PATCH, one.clone(), json!({"subject": " "}), "invalid_group"),
        (Method::POST, format!("{one}/participants"), json!({"participants": []}), "invalid_participants"),
        (Method::POST, format!("{one}/participants"), json!({"participants": ["0812"]}), "invalid_participants"),
        (Method::DELETE, format!("{one}/admins"), json!({"participants": [GROUP]}), "invalid_participants"),
        (Method::DELETE, format!("{one}/participants"), many, "invalid_participants"),
        (Method::POST, format!("{GROUPS}/join"), json!({"code": ""}), "invalid_invite"),
        (Method::PUT, format!("{one}/picture"), json!({}), "invalid_picture"),
        (
            Method::PUT,
            "/api/whatsapp/profile/picture".to_owned(),
            json!({"picture": "A".repeat(700_001)}),
            "invalid_picture",
        ),
        (Method::GET, "/api/whatsapp/contacts/12".to_owned(), json!({}), "invalid_recipient"),
        (Method::POST, "/api/whatsapp/block".to_owned(), json!({"number": GROUP}), "invalid_recipient"),
        (Method::POST, "/api/whatsapp/unblock".to_owned(), json!({}), "missing_recipient"),
        (Method::POST, "/api/whatsapp/calls/CALL7/reject".to_owned(), json!({}), "missing_recipient"),
    ] {
        let (status, answer) = call(&api, method, &path, &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{path} {answer}");
    }
    assert_eq!(gateway.asked(), 0);
}

#[tokio::test]
async fn what_whatsapp_refuses_has_its_status() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let _gateway = Gateway::start(&nats, "default", |command, _| {
        let error = |code: &str, number: Option<u16>| json!({"error": {"code": code, "message": "why", "whatsapp_code": number}});
        Some(match command {
            Command::Status => connected(),
            Command::Group => error("group_not_found", None),
            Command::JoinGroup => error("invite_not_found", None),
            Command::RejectCall => error("call_not_found", None),
            Command::ChangeGroup => error("refused_by_whatsapp", Some(403)),
            Command::Picture => json!({"ok": {"picture": null}}),
            _ => error("timed_out", None),
        })
    })
    .await;
    let one = format!("{GROUPS}/{GROUP}");
    for (method, path, body, status, code) in [
        (Method::GET, one.clone(), json!({}), 404, json!("group_not_found")),
        (Method::POST, format!("{GROUPS}/join"), json!({"code": "ABC"}), 404, json!("invite_not_found")),
        (Method::POST, "/api/whatsapp/calls/1/reject".to_owned(), json!({"from": BUDI}), 404, json!("call_not_found")),
        (Method::PATCH, one, json!({"subject": "x"}), 502, json!("refused_by_whatsapp")),
        (Method::GET, format!("/api/whatsapp/contacts/{BUDI}/picture"), json!({}), 404, json!("picture_not_found")),
        (Method::POST, GROUPS.to_owned(), json!({"subject": "x"}), 504, json!("timed_out")),
    ] {
        let (got, answer) = call(&api, method, &path, &body).await;
        assert_eq!((got, &answer["code"]), (status, &code), "{path} {answer}");
        let number = if status == 502 { json!(403) } else { Value::Null };
        assert_eq!(answer["whatsappCode"], number, "{path} {answer}");
    }
}
