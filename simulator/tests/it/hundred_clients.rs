//! Many clients at once, with everything that people do: nobody makes a mistake of the protocol, and nothing is lost.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tempfile::tempdir;
use wacore_binary::JidExt as _;
use whatsapp_rust::{Jid, features::GroupCreateOptions, features::GroupParticipantOptions, types::events::Event};

use crate::support::{Phone, Sim, until};

/// Each client does something so often.
const PAUSE: Duration = Duration::from_secs(2);

struct Crowd {
    phones: Vec<Phone>,
    jids: Vec<Jid>,
    groups: Vec<Jid>,
}

impl Crowd {
    async fn gather(sim: &Sim, folder: &std::path::Path, count: usize) -> Self {
        let mut phones = Vec::new();
        for some in (0..count).collect::<Vec<_>>().chunks(10) {
            let names: Vec<String> = some.iter().map(|n| format!("Client {n}")).collect();
            phones.extend(
                futures::future::join_all(names.iter().map(|name| Phone::paired(sim, folder, Some(name)))).await,
            );
        }
        let jids: Vec<Jid> = phones.iter().map(|phone| phone.client.pn().unwrap().to_non_ad()).collect();
        let mut groups = Vec::new();
        for (n, members) in jids.chunks(10).enumerate() {
            let people = members.iter().skip(1).cloned().map(GroupParticipantOptions::new).collect();
            let options = GroupCreateOptions::new(format!("Group {n}")).with_participants(people);
            let made = phones[n * 10].client.groups().create_group(options).await.unwrap();
            groups.push(made.metadata.id);
        }
        Self { phones, jids, groups }
    }

    /// What one client does until the end. Gives the texts that it sent, by the client that has to hear each.
    async fn live(&self, own: usize, until: Instant) -> Vec<(usize, String)> {
        let mut chance = StdRng::seed_from_u64(own as u64);
        let (client, mut sent) = (&self.phones[own].client, Vec::new());
        for n in 0.. {
            tokio::time::sleep(PAUSE.mul_f64(chance.random_range(0.5..1.5))).await;
            if Instant::now() >= until {
                break;
            }
            let other = (own + chance.random_range(1..self.phones.len())) % self.phones.len();
            let (to, text) = (&self.jids[other], format!("{own} says {n}"));
            match chance.random_range(0..10) {
                0..5 => {
                    client.send_text(to.clone(), &text).await.unwrap();
                    sent.push((other, text));
                }
                5..7 => {
                    client.send_text(self.groups[own / 10].clone(), &text).await.unwrap();
                    let first = own / 10 * 10;
                    sent.extend(
                        (first..first + 10).filter(|member| *member != own).map(|member| (member, text.clone())),
                    );
                }
                7 => client.chatstate().send_composing(to).await.unwrap(),
                8 => client.presence().subscribe(to).await.unwrap(),
                _ => {
                    if let Some(heard) = self.phones[own].heard().into_iter().rfind(|heard| !heard.from_me) {
                        let author = heard.chat.is_group().then_some(&heard.sender);
                        client.mark_as_read(&heard.chat, author, &[heard.id.as_str()]).await.unwrap();
                    }
                }
            }
        }
        sent
    }
}

async fn live_together(count: usize, lasts: Duration) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let crowd = Crowd::gather(&sim, folder.path(), count).await;
    let is_mistake = |event: &Event| {
        matches!(
            event,
            Event::UndecryptableMessage(_) | Event::Disconnected(_) | Event::StreamReplaced(_) | Event::LoggedOut(_)
        ) || matches!(event, Event::ServerAck(ack) if ack.error.is_some())
    };
    // The end of a pairing is a disconnect, too.
    let at_begin: Vec<usize> = crowd.phones.iter().map(|phone| phone.count(is_mistake)).collect();
    let end = Instant::now() + lasts;
    let all = futures::future::join_all((0..count).map(|own| crowd.live(own, end))).await;
    let mut wanted: HashMap<usize, Vec<String>> = HashMap::new();
    for (receiver, text) in all.into_iter().flatten() {
        wanted.entry(receiver).or_default().push(text);
    }
    let total: usize = wanted.values().map(Vec::len).sum();
    for (receiver, texts) in wanted {
        let phone = &crowd.phones[receiver];
        let counts = || {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            phone
                .heard()
                .into_iter()
                .filter(|heard| !heard.from_me)
                .for_each(|heard| *counts.entry(heard.text).or_default() += 1);
            counts
        };
        let missing = || texts.iter().filter(|text| !counts().contains_key(*text)).count();
        until(|| (missing() == 0).then_some(()), || format!("client {receiver} misses {}", missing())).await;
        assert!(counts().values().all(|count| *count == 1), "client {receiver} heard something twice");
    }
    let at_end: Vec<usize> = crowd.phones.iter().map(|phone| phone.count(is_mistake)).collect();
    assert_eq!(at_end, at_begin, "mistakes of each client");
    let seen = sim.get("/statistics").await;
    for (what, nothing) in [
        ("nacks", json!(0)),
        ("decryptionFailures", json!(0)),
        ("receiptsWithoutDevice", json!(0)),
        ("unreadablePatches", json!(0)),
        ("unansweredIqs", json!({})),
    ] {
        assert_eq!(seen[what], nothing, "{what}: {seen:#}");
    }
    assert_eq!((&seen["messages"]["queued"], &seen["messages"]["sent"]), (&json!(0), &json!(0)), "{seen:#}");
    eprintln!("{count} clients heard {total} texts in {lasts:?}, without a mistake on either side");
    futures::future::join_all(crowd.phones.into_iter().map(Phone::shutdown)).await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clients_live_together_for_ten_seconds() {
    live_together(20, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes eleven minutes: cargo test -p whatsapp-simulator --test it -- --ignored hundred_clients --nocapture"]
async fn a_hundred_clients_live_together_for_ten_minutes() {
    live_together(100, Duration::from_secs(600)).await;
}
