//! The event of each notice of the client, and the notices without an event.

use super::*;
use serde_json::{Value, json};
use wacore::{
    stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo},
    types::{
        call::{CallAction, IncomingCall, MissedCall, MissedReason},
        events::{
            ChatPresenceUpdate, ContactNumberChanged, GroupUpdate, IdentityChange, PictureUpdate, PresenceUpdate,
            Receipt, ServerAck, UserAboutUpdate,
        },
        message::MessageSource,
        presence::{ChatPresence, ChatPresenceMedia, ReceiptType},
    },
};
use whatsapp_rust::chrono::{DateTime, Utc};

const BUDI: &str = "628@s.whatsapp.net";
const GROUP: &str = "120363@g.us";

fn jid(jid: &str) -> Jid {
    jid.parse().unwrap()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn directory() -> AddressDirectory {
    let mut directory = AddressDirectory::of_account(Some(jid("111@s.whatsapp.net")), Some(jid("222@lid")));
    directory.add_pair(&jid(BUDI), &jid("900@lid"));
    directory
}

fn told_by(calls: &RingingCalls, event: &Event) -> Vec<(String, Value)> {
    let notices = map_event(event, &directory(), &SessionId::default(), calls);
    notices
        .into_iter()
        .map(|NoticeEvent { kind, id, data }| {
            assert_eq!(data["eventId"], id.as_str());
            assert_eq!(data["session"], "default");
            (kind.to_string(), data)
        })
        .collect()
}

fn told(event: &Event) -> Vec<(String, Value)> {
    told_by(&RingingCalls::default(), event)
}

fn only(event: &Event) -> (String, Value) {
    let mut told = told(event);
    assert_eq!(told.len(), 1, "{event:?}");
    told.remove(0)
}

fn source(chat: &str, sender: &str) -> MessageSource {
    MessageSource { chat: jid(chat), sender: jid(sender), ..MessageSource::default() }
}

fn receipt(chat: &str, sender: &str, kind: ReceiptType, ids: &[&str]) -> Event {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let receipt = Receipt::builder().source(source(chat, sender)).message_ids(ids).timestamp(at()).r#type(kind);
    Event::Receipt(receipt.offline(false).build())
}

#[test]
fn a_receipt_is_an_ack_of_each_message_it_names() {
    for (kind, status) in [
        (ReceiptType::Delivered, "delivered"),
        (ReceiptType::Inactive, "delivered"),
        (ReceiptType::Read, "read"),
        (ReceiptType::Played, "played"),
    ] {
        let acks = told(&receipt("900@lid", "900:3@lid", kind, &["A", "B"]));
        assert_eq!(acks.len(), 2);
        for ((event, data), id) in acks.iter().zip(["A", "B"]) {
            assert_eq!(
                (event.as_str(), &data["messageId"], &data["status"]),
                ("message.ack", &json!(id), &json!(status))
            );
            assert_eq!((&data["chat"]["jid"], &data["author"]["lid"]), (&json!(BUDI), &json!("900@lid")));
            assert_eq!((&data["fromMe"], &data["participant"]), (&json!(false), &Value::Null));
            assert_eq!(data["timestamp"], 1_790_000_000_000_i64);
        }
        assert_ne!(acks[0].1["eventId"], acks[1].1["eventId"]);
    }
    let (_, in_group) = only(&receipt(GROUP, BUDI, ReceiptType::Read, &["A"]));
    assert_eq!((&in_group["chat"]["jid"], &in_group["participant"]), (&json!(GROUP), &json!(BUDI)));
}

#[test]
fn the_same_receipt_is_the_same_event_and_each_reader_has_his_own() {
    let id = |event: &Event| only(event).1["eventId"].clone();
    let first = id(&receipt(GROUP, "900:3@lid", ReceiptType::Read, &["A"]));
    assert_eq!(first, id(&receipt(GROUP, BUDI, ReceiptType::Read, &["A"])));
    assert_ne!(first, id(&receipt(GROUP, BUDI, ReceiptType::Delivered, &["A"])));
    assert_ne!(first, id(&receipt(GROUP, "901@lid", ReceiptType::Read, &["A"])));
}

#[test]
fn what_own_devices_say_to_each_other_is_no_ack() {
    for kind in [ReceiptType::Sender, ReceiptType::PeerMsg, ReceiptType::ReadSelf, ReceiptType::ServerError] {
        assert!(told(&receipt(BUDI, BUDI, kind, &["A"])).is_empty());
    }
    assert!(told(&receipt("111@s.whatsapp.net", "111@s.whatsapp.net", ReceiptType::Delivered, &["A"])).is_empty());
    assert!(told(&receipt(GROUP, "222@lid", ReceiptType::Delivered, &["A"])).is_empty());
}

#[test]
fn whatsapps_own_ack_is_the_first() {
    let ack = |class: &str, error: Option<&str>| {
        let ack = ServerAck::builder().id("A".to_owned()).class(class.to_owned()).from(jid("900@lid")).timestamp(at());
        Event::ServerAck(ack.maybe_error(error.map(str::to_owned)).build())
    };
    let (kind, data) = only(&ack("message", None));
    assert_eq!((kind.as_str(), &data["status"], &data["chat"]["jid"]), ("message.ack", &json!("server"), &json!(BUDI)));
    assert_eq!((&data["author"]["jid"], &data["fromMe"]), (&json!("111@s.whatsapp.net"), &json!(true)));
    assert!(told(&ack("message", Some("479"))).is_empty() && told(&ack("receipt", None)).is_empty());
}

fn update(action: Action) -> Event {
    Event::GroupUpdate(
        GroupUpdate::builder()
            .group_jid(jid(GROUP))
            .notification_id("N".to_owned())
            .action_index(0)
            .participant(jid("900@lid"))
            .timestamp(at())
            .is_lid_addressing_mode(true)
            .has_incomplete_participant_information(false)
            .action(action)
            .build(),
    )
}

fn member(jid_: &str, number: Option<&str>) -> GroupParticipantInfo {
    GroupParticipantInfo {
        jid: jid(jid_),
        phone_number: number.map(jid),
        display_name: None,
        r#type: None,
        lid: None,
        username: None,
        join_time: None,
        group_history_sent_state: None,
    }
}

#[test]
fn each_change_of_a_group_has_its_details() {
    let subject = Action::Subject { subject: "Team".to_owned(), subject_owner: None, subject_time: None };
    for (action, change, details) in [
        (subject, "subject", json!({"subject": "Team"})),
        (Action::Description { id: "1".to_owned(), description: None }, "description", json!({"description": null})),
        (Action::Locked { threshold: None }, "locked", json!({"locked": true})),
        (Action::Unlocked, "locked", json!({"locked": false})),
        (Action::Announce, "announcement", json!({"announcement": true})),
        (Action::NotAnnounce, "announcement", json!({"announcement": false})),
        (Action::Ephemeral { expiration: 60, trigger: None }, "expiration", json!({"seconds": 60})),
        (Action::MembershipApprovalMode { enabled: true }, "approval", json!({"required": true})),
        (Action::RevokeInvite, "invite_revoked", json!({})),
        (Action::Delete { reason: None }, "deleted", json!({"reason": null})),
        (Action::Suspended, "other", json!({"name": "suspended"})),
    ] {
        let (kind, data) = only(&update(action));
        assert_eq!((kind.as_str(), &data["change"]), ("group.updated", &json!(change)));
        assert_eq!(data["details"], details, "{change}");
        assert_eq!((&data["chat"]["jid"], &data["participant"]), (&json!(GROUP), &json!(BUDI)));
    }
}

#[test]
fn members_come_and_go_under_both_addresses() {
    let participants = || vec![member("901@lid", Some("629@s.whatsapp.net"))];
    for (action, expected) in [
        (Action::Add { participants: participants(), reason: None }, "add"),
        (Action::Remove { participants: participants(), reason: None }, "remove"),
        (Action::Promote { participants: participants() }, "promote"),
        (Action::Demote { participants: participants() }, "demote"),
        (Action::Modify { participants: participants() }, "number_changed"),
    ] {
        let (kind, data) = only(&update(action));
        assert_eq!((kind.as_str(), &data["action"]), ("group.participants", &json!(expected)));
        let other = json!({"jid": "629@s.whatsapp.net", "pn": "629@s.whatsapp.net", "lid": "901@lid"});
        assert_eq!((&data["participants"], &data["author"]["jid"]), (&json!([other]), &json!(BUDI)));
    }
    let (_, gone) = only(&update(Action::RevokedMembershipRequests { participants: vec![jid("900@lid")] }));
    assert_eq!((&gone["action"], &gone["participants"][0]["jid"]), (&json!("join_request_revoked"), &json!(BUDI)));
}

fn call(action: CallAction) -> Event {
    Event::IncomingCall(IncomingCall::new_for_test(jid("900@lid"), "S".to_owned(), at(), action))
}

fn offer() -> Event {
    call(CallAction::Offer {
        call_id: "C".to_owned(),
        call_creator: jid("900@lid"),
        caller_pn: None,
        caller_country_code: None,
        device_class: None,
        joinable: false,
        is_video: true,
        audio: Vec::new(),
        group_jid: None,
    })
}

fn terminate(reason: Option<&str>) -> Event {
    let (call_id, call_creator) = ("C".to_owned(), jid("900@lid"));
    let reason = reason.map(str::to_owned);
    call(CallAction::Terminate { call_id, call_creator, reason, duration: None, audio_duration: None })
}

#[test]
fn a_call_rings_once_and_ends_once() {
    for (reason, end) in [
        (None, "call.missed"),
        (Some("timeout"), "call.missed"),
        (Some("accepted_elsewhere"), "call.ended"),
        (Some("rejected_elsewhere"), "call.ended"),
    ] {
        let calls = RingingCalls::default();
        let rings = told_by(&calls, &offer());
        assert_eq!((rings[0].0.as_str(), &rings[0].1["video"]), ("call.received", &json!(true)));
        assert_eq!((&rings[0].1["callId"], &rings[0].1["author"]["jid"]), (&json!("C"), &json!(BUDI)));
        assert!(told_by(&calls, &offer()).is_empty(), "the offer again");
        let ended = told_by(&calls, &terminate(reason));
        assert_eq!((ended[0].0.as_str(), &ended[0].1["reason"]), (end, &json!(reason)));
        assert!(told_by(&calls, &terminate(reason)).is_empty(), "the end again");
    }
    let missed = MissedCall::new(jid("900@lid"), "C".to_owned(), at(), MissedReason::Offline);
    let (kind, data) = only(&Event::MissedCall(missed));
    assert_eq!((kind.as_str(), &data["reason"]), ("call.missed", &json!("offline")));
}

#[test]
fn presence_is_of_a_person_or_of_one_in_a_chat() {
    let presence = PresenceUpdate::builder().from(jid("900@lid")).unavailable(true).last_seen(at()).build();
    let (kind, data) = only(&Event::Presence(presence));
    assert_eq!((kind.as_str(), &data["presence"]), ("presence.updated", &json!("unavailable")));
    assert_eq!((&data["lastSeen"], &data["author"]["jid"]), (&json!(1_790_000_000_000_i64), &json!(BUDI)));
    for (state, media, expected) in [
        (ChatPresence::Composing, ChatPresenceMedia::Text, "composing"),
        (ChatPresence::Composing, ChatPresenceMedia::Audio, "recording"),
        (ChatPresence::Paused, ChatPresenceMedia::Text, "paused"),
    ] {
        let update = ChatPresenceUpdate::builder().source(source(GROUP, BUDI)).state(state).media(media).build();
        let (_, data) = only(&Event::ChatPresence(update));
        assert_eq!((&data["presence"], &data["participant"]), (&json!(expected), &json!(BUDI)));
    }
}

#[test]
fn what_changes_about_a_contact_is_told() {
    let about = UserAboutUpdate::builder().jid(jid(BUDI)).status("busy".to_owned()).timestamp(at()).build();
    let (kind, data) = only(&Event::UserAboutUpdate(about));
    assert_eq!((kind.as_str(), &data["details"]), ("contact.updated", &json!({"about": "busy"})));
    let picture =
        |whose| Event::PictureUpdate(PictureUpdate::builder().jid(jid(whose)).timestamp(at()).removed(true).build());
    let (kind, data) = only(&picture(BUDI));
    assert_eq!((kind.as_str(), &data["change"]), ("contact.updated", &json!("picture")));
    assert_eq!(only(&picture(GROUP)).0, "group.updated");
    let changed = ContactNumberChanged::builder().old_jid(jid(BUDI)).new_jid(jid("629@s.whatsapp.net")).timestamp(at());
    let (_, data) = only(&Event::ContactNumberChanged(changed.build()));
    assert_eq!(
        (&data["author"]["jid"], &data["details"]["previous"]["jid"]),
        (&json!("629@s.whatsapp.net"), &json!(BUDI))
    );
    let identity = IdentityChange::builder().user(jid("901@lid")).lid_user(jid("901@lid")).implicit(true).build();
    let (kind, data) = only(&Event::IdentityChange(identity));
    assert_eq!((kind.as_str(), &data["author"]["lid"]), ("contact.identity_changed", &json!("901@lid")));
}
