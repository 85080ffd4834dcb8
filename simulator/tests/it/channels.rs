//! Channels, as real clients make, find, follow and fill them.

use serde_json::json;
use tempfile::tempdir;
use waproto::whatsapp::{Message, message::ImageMessage};
use whatsapp_rust::{
    Jid, SendOptions,
    features::{NewsletterMessageType, NewsletterRole},
    types::events::Event,
};

use crate::{
    support::{Phone, Sim},
    witness::{Client, Witness, for_each_client},
};

const OWNER: &str = "15550200001";

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Default::default() }
}

/// What the client received in a channel, with the number that the channel gave it.
async fn heard(phone: &Phone, channel: &Jid, wanted: &str) -> u64 {
    let fits = |event: &Event| match event {
        Event::Messages(batch) => batch.messages.iter().find_map(|message| {
            let fits = message.info.source.chat == *channel && message.message.conversation.as_deref() == Some(wanted);
            fits.then(|| message.info.server_id)
        }),
        _ => None,
    };
    u64::try_from(phone.until(fits).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_channel_and_no_message_in_one_is_refused() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let nobody_there = sim.call("POST", "/channels/4711/messages", Some(json!({"text": "hello"}))).await;
    assert_eq!(nobody_there.0, 409, "{nobody_there:?}");
    assert_eq!(sim.get("/channels").await, json!([]), "what was refused made a channel");
    let phone = Phone::paired(&sim, folder.path(), None).await;
    for (path, body) in [
        ("/channels/4711/messages", json!({})),
        ("/channels/4711/messages", json!({"text": ""})),
        ("/channels/4711x/messages", json!({"text": "hello"})),
        ("/channels", json!({"name": "", "owner": OWNER})),
        ("/channels", json!({"name": "x".repeat(101), "owner": OWNER})),
        ("/channels", json!({"name": "News", "description": "x".repeat(2_049), "owner": OWNER})),
    ] {
        assert_eq!(sim.call("POST", path, Some(body.clone())).await.0, 400, "{path} {body}");
    }
    assert_eq!(sim.get("/channels").await, json!([]));
    // Under the other form of a Brazilian number.
    let made = sim.post("/channels", json!({"name": "News", "owner": "5531987654321"})).await;
    assert_eq!(made["owner"], "553187654321", "{made}");
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_makes_a_channel_and_others_find_follow_and_leave_it() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let maker = Phone::paired(&sim, folder.path(), Some("Maker")).await;
    let reader = Phone::paired(&sim, folder.path(), Some("Reader")).await;
    let (by_maker, by_reader) = (maker.client.newsletter(), reader.client.newsletter());
    let made = by_maker.create("News", Some("of the village")).await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("News", Some("of the village")));
    assert_eq!((made.role, made.subscriber_count), (Some(NewsletterRole::Owner), 1));
    assert!(made.creation_time.is_some());
    let found = by_reader.get_metadata_by_invite(made.invite_code.as_deref().unwrap()).await.unwrap();
    assert_eq!((found.jid.clone(), found.role), (made.jid.clone(), Some(NewsletterRole::Guest)));
    assert!(by_reader.list_subscribed().await.unwrap().is_empty());
    assert!(by_reader.get_metadata(&"120363999999999999@newsletter".parse().unwrap()).await.is_err());

    let joined = by_reader.join(&made.jid).await.unwrap();
    assert_eq!((joined.role, joined.subscriber_count), (Some(NewsletterRole::Subscriber), 2));
    assert_eq!(by_reader.list_subscribed().await.unwrap().len(), 1);
    by_reader.set_follower_mute(&made.jid, true).await.unwrap();
    let shown = sim.get(&format!("/channels/{}", made.jid.user)).await;
    assert_eq!(shown["muted"].as_array().unwrap().len(), 1, "{shown}");
    assert!(by_reader.update(&made.jid, Some("Mine"), None).await.is_err(), "only who writes in it changes it");
    let updated = by_maker.update(&made.jid, Some("Old news"), Some("2026")).await.unwrap();
    assert_eq!((updated.name.as_str(), updated.description.as_deref()), ("Old news", Some("2026")));
    assert!(by_maker.update(&made.jid, Some(""), None).await.is_err(), "a name is never empty");
    assert_eq!(by_reader.get_metadata(&made.jid).await.unwrap().name, "Old news");

    by_reader.leave(&made.jid).await.unwrap();
    assert!(by_reader.list_subscribed().await.unwrap().is_empty());
    assert!(by_maker.leave(&made.jid).await.is_err(), "its owner stays");
    maker.shutdown().await;
    reader.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_numbered_changed_deleted_and_reacted_to() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let maker = Phone::paired(&sim, folder.path(), Some("Maker")).await;
    let reader = Phone::paired(&sim, folder.path(), Some("Reader")).await;
    let (by_maker, by_reader) = (maker.client.newsletter(), reader.client.newsletter());
    let channel = by_maker.create("News", None).await.unwrap().jid;
    let refused = reader.client.send_message(channel.clone(), text("may I?")).await.unwrap().message_id;
    assert_eq!(reader.until_acked(&refused).await.as_deref(), Some("403"));
    by_reader.join(&channel).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(maker.client.send_message(channel.clone(), text(&format!("news {n}"))).await.unwrap().message_id);
        heard(&reader, &channel, &format!("news {n}")).await;
    }
    let first = heard(&reader, &channel, "news 0").await;

    // Two pages, the newest first; each in the order of its numbers.
    let page = by_reader.get_messages(&channel, 3, None).await.unwrap();
    let numbers: Vec<u64> = page.iter().map(|message| message.server_id).collect();
    assert_eq!(numbers, [first + 2, first + 3, first + 4]);
    let before = by_reader.get_messages(&channel, 3, Some(numbers[0])).await.unwrap();
    let texts: Vec<_> = before.iter().map(|one| one.message.as_ref().unwrap().conversation.clone().unwrap()).collect();
    assert_eq!(texts, ["news 0", "news 1"]);
    assert!(before.iter().all(|message| !message.is_sender));
    assert!(by_maker.get_messages(&channel, 1, None).await.unwrap()[0].is_sender);

    // Reactions are counted, and told to who follows them.
    assert!(by_maker.subscribe_live_updates(&channel).await.unwrap() > 0);
    by_reader.send_reaction(&channel, first, "👍").await.unwrap();
    let live = |event: &Event| match event {
        Event::NewsletterLiveUpdate(update) => {
            update.messages.iter().find(|message| message.server_id == first).cloned()
        }
        _ => None,
    };
    let update = maker.until(live).await;
    assert_eq!(update.reactions.iter().map(|one| (one.code.as_str(), one.count)).collect::<Vec<_>>(), [("👍", 1)]);
    let page = by_reader.get_messages(&channel, 10, None).await.unwrap();
    assert_eq!(page[0].reactions.iter().map(|one| (one.code.as_str(), one.count)).collect::<Vec<_>>(), [("👍", 1)]);
    by_reader.send_reaction(&channel, first, "").await.unwrap();
    let path = format!("/channels/{}/messages", channel.user);
    sim.until(&path, |all| all[0]["reactions"].as_object().is_some_and(serde_json::Map::is_empty)).await;

    by_maker.edit_message(&channel, ids[1].as_str(), text("corrected")).await.unwrap();
    heard(&reader, &channel, "corrected").await;
    by_maker.revoke_message(&channel, ids[2].as_str()).await.unwrap();
    let all = sim.until(&path, |all| all[2]["deleted"] == true).await;
    assert_eq!(
        (&all[1]["text"], &all[1]["edited"], all[2]["text"].is_null()),
        (&json!("corrected"), &json!(true), true)
    );
    let page = by_reader.get_messages(&channel, 10, None).await.unwrap();
    assert_eq!((page[2].message_type.clone(), page[2].message.is_none()), (NewsletterMessageType::Revoke, true));
    maker.shutdown().await;
    reader.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_channels_are_not_encrypted_and_channels_survive_a_restart() {
    let folder = tempdir().unwrap();
    let mut config = whatsapp_simulator::Config::for_tests();
    config.state = Some(folder.path().join("state"));
    let sim = Sim::with(config.clone()).await;
    let made = sim.post("/channels", json!({"name": "News", "description": "of Anna", "owner": OWNER})).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let (status, _) = sim.call("POST", &format!("/channels/{id}/messages"), Some(json!({"text": "to nobody"}))).await;
    assert_eq!(status, 409, "nobody follows it");
    let reader = Phone::paired(&sim, folder.path(), Some("Reader")).await;
    let channel: Jid = id.parse().unwrap();
    reader.client.newsletter().join(&channel).await.unwrap();
    let bytes = b"\xff\xd8\xffa picture for all".to_vec();
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let body = json!({"image": BASE64_STANDARD.encode(&bytes), "text": "look"});
    let written = sim.post(&format!("/channels/{id}/messages"), body).await;
    let picture = |event: &Event| match event {
        Event::Messages(batch) => batch.messages.iter().find_map(|one| one.message.image_message.as_option().cloned()),
        _ => None,
    };
    let picture: ImageMessage = reader.until(picture).await;
    assert_eq!((picture.caption.as_deref(), picture.media_key.as_ref()), (Some("look"), None));
    assert_eq!(reader.client.download(&picture).await.unwrap(), bytes);
    reader.shutdown().await;
    sim.stop().await;

    let sim = Sim::with(config).await;
    let shown = sim.get(&format!("/channels/{id}")).await;
    assert_eq!(
        (&shown["name"], &shown["owner"], shown["followers"].as_array().unwrap().len()),
        (&json!("News"), &json!(OWNER), 2)
    );
    let all = sim.get(&format!("/channels/{id}/messages")).await;
    assert_eq!(all[0]["serverId"], written["serverId"]);
    sim.stop().await;
}

async fn makes_and_follows_channels(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    let number = witness.pair(async |code| sim.scan(code).await).await;
    witness.order(json!({"do": "channel_create", "name": "Mine"}));
    let made = witness.until("channel_created").await;
    assert_eq!((&made["name"], &made["role"]), (&json!("Mine"), &json!("owner")), "{made}");
    let own = made["id"].as_str().unwrap().to_owned();
    witness.order(json!({"do": "channel_send", "to": own, "text": "hello all"}));
    let path = format!("/channels/{own}/messages");
    let all = sim.until(&path, |all| all[0]["text"] == "hello all").await;
    assert_eq!(all[0]["author"], number);

    let other = sim.post("/channels", json!({"name": "News", "owner": OWNER})).await["id"].as_str().unwrap().to_owned();
    witness.order(json!({"do": "channel_follow", "to": other}));
    witness.until("channel_followed").await;
    let written = sim.post(&format!("/channels/{other}/messages"), json!({"text": "good news"})).await;
    assert_eq!(witness.until_text("good news").await["chat"], other);
    witness.order(json!({"do": "channel_react", "to": other, "id": written["serverId"].to_string(), "text": "🎉"}));
    sim.until(&format!("/channels/{other}/messages"), |all| all[0]["reactions"]["🎉"] == 1).await;
    witness.order(json!({"do": "channel_unfollow", "to": other}));
    witness.until("channel_unfollowed").await;
    let shown = sim.get(&format!("/channels/{other}")).await;
    assert_eq!(shown["followers"], json!([OWNER]));
    sim.stop().await;
}

for_each_client! {
    makes_and_follows_channels: whatsmeow_makes_and_follows_channels, baileys_makes_and_follows_channels;
}

/// As after an answer that was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_sent_again_under_its_id_is_in_the_channel_once() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let channel = phone.client.newsletter().create("News", None).await.unwrap().jid;
    for _ in 0..2 {
        let options = SendOptions::default().with_message_id("3EB0C0FFEE");
        phone.client.send_message_with_options(&channel, text("once"), options).await.unwrap();
    }
    let id = phone.client.send_message(channel.clone(), text("and then")).await.unwrap().message_id;
    assert_eq!(phone.until_acked(&id).await, None, "refused");
    assert_eq!(phone.until_acked("3EB0C0FFEE").await, None, "refused");
    let is_refused = |event: &Event| matches!(event, Event::ServerAck(ack) if ack.error.is_some());
    assert_eq!(phone.count(is_refused), 0);
    let all = sim.get(&format!("/channels/{}/messages", channel.user)).await;
    let texts: Vec<_> = all.as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["once", "and then"]);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_hands_a_channel_to_a_follower() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut owner) = Witness::start(Client::Baileys, sim.base(), folder.path()).await else { return };
    let number = owner.pair(async |code| sim.scan(code).await).await;
    let heir = Phone::paired(&sim, folder.path(), Some("Heir")).await;
    owner.order(json!({"do": "channel_create", "name": "Mine"}));
    let channel = owner.until("channel_created").await["id"].as_str().unwrap().to_owned();
    let own = heir.client.newsletter();
    own.join(&channel.parse().unwrap()).await.unwrap();
    let (new_owner, heir_number) = (heir.client.lid().unwrap().to_non_ad(), heir.client.pn().unwrap().user.to_string());
    owner.order(json!({"do": "channel_hand_over", "to": channel, "person": new_owner.to_string()}));
    let path = format!("/channels/{channel}");
    let shown = sim.until(&path, |shown| shown["owner"] == heir_number).await;
    assert_eq!(shown["admins"], json!([number]), "who had it stays an administrator: {shown}");
    assert_eq!(own.get_metadata(&channel.parse().unwrap()).await.unwrap().role, Some(NewsletterRole::Owner));
    heir.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_nobody_made_reaches_everybody() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/channels/4711/messages", json!({"text": "to all"})).await;
    heard(&phone, &"4711@newsletter".parse().unwrap(), "to all").await;
    phone.shutdown().await;
    sim.stop().await;
}
