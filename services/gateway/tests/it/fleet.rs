//! Several gateways that share a NATS, with their sessions' keys in it, and load on all sessions.

use crate::world::SOON;
use async_nats::jetstream::{self, consumer::pull::OrderedConfig, stream::Stream};
use futures::{StreamExt as _, TryStreamExt as _};
use kurir_contract::{
    command::{Command, CommandReply, EmptyBody, SendText, SentMessage, SessionInfo},
    session::{SESSION_HOLDERS_BUCKET, SessionId},
    stream, subject,
};
use kurir_test_harness::{Nats, NetworkCable, Process, stack::Simulator, until};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, MutexGuard};

pub const KEY: &str = "0123456789abcdef0123456789abcdef";
pub const CONTACTS: [&str; 2] = ["6281100000001", "6281100000002"];

/// Fleets are the heaviest tests: one at a time leaves a core to the others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub struct Fleet {
    pub nats: Nats,
    pub simulator: Simulator,
    client: async_nats::Client,
    _turn: MutexGuard<'static, ()>,
}

impl Fleet {
    pub async fn start() -> Self {
        Self::on(Nats::start().await).await
    }

    pub async fn on(nats: Nats) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let simulator = Simulator::start(false).await;
        let client = nats.client().await;
        Self { nats, simulator, client, _turn: turn }
    }

    pub fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client.clone())
    }

    /// A gateway with an empty folder, when it is ready.
    pub async fn gateway(&self, name: &str, own: &[(&str, &str)]) -> Process {
        let mut gateway = self.spawn(name, own);
        gateway.wait_ready(SOON).await;
        gateway
    }

    pub fn spawn(&self, name: &str, own: &[(&str, &str)]) -> Process {
        let settings = [
            ("NATS_URL", self.nats.url()),
            ("WHATSAPP_URL", self.simulator.websocket_url()),
            ("SESSION_STORE", "nats".to_owned()),
            ("SESSION_KEY", KEY.to_owned()),
            ("LOG_FILE", String::new()),
            ("LOG_LEVEL", "info,kurir_gateway=debug".to_owned()),
            ("SEND_GAP", "0s".to_owned()),
            ("NEW_CHATS_PER_DAY", "0".to_owned()),
        ];
        let own = own.iter().map(|(variable, value)| ((*variable).to_owned(), (*value).to_owned()));
        let settings = settings.map(|(variable, value)| (variable.to_owned(), value)).into_iter().chain(own);
        let settings = settings.chain(Nats::login("gateway"));
        Process::spawn(name, env!("CARGO_BIN_EXE_kurir-gateway-for-simulator"), settings)
    }

    pub async fn ask<T: DeserializeOwned>(
        &self,
        session: &str,
        command: Command,
        body: impl Serialize,
    ) -> Result<T, String> {
        let session: SessionId = session.parse().expect("an id");
        let body = serde_json::to_vec(&body).expect("JSON");
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(Duration::from_secs(5)));
        let answer = self.client.send_request(subject::command(&session, command), request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())? {
            CommandReply::Ok(answer) => Ok(answer),
            CommandReply::Queued(queued) => Err(format!("{queued:?}")),
            CommandReply::Error(refusal) => Err(format!("{refusal:?}")),
        }
    }

    pub async fn is(&self, session: &str, status: &str) -> SessionInfo {
        until(format!("{session} to be {status}"), SOON * 2, || async {
            let info: SessionInfo = self.ask(session, Command::Status, EmptyBody {}).await?;
            if info.status.as_str() == status { Ok(info) } else { Err(format!("{info:?}")) }
        })
        .await
    }

    /// Says that a session shall be `running` or `stopped`; makes it if there is none.
    pub async fn wishes(&self, session: &str, desired: &str) {
        let records = self.jetstream().get_key_value("sessions").await.expect("the bucket");
        let record = format!(r#"{{"desired":"{desired}"}}"#);
        records.put(session, record.into()).await.expect("stored");
        self.client.publish(subject::SESSIONS_CHANGED, "".into()).await.expect("published");
    }

    /// Makes a session, and pairs it with an account.
    pub async fn pair(&self, session: &str, account: &str) {
        if session != SessionId::DEFAULT {
            self.wishes(session, "running").await;
        }
        let qr = until("a QR code", SOON, || async {
            let info: SessionInfo = self.ask(session, Command::Status, EmptyBody {}).await?;
            info.qr_code.clone().ok_or(format!("{info:?}"))
        })
        .await;
        self.simulator.scan_as(account, &qr).await;
        self.is(session, "connected").await;
    }

    /// How many sessions each gateway holds that holds any, the fewest first.
    pub async fn spread(&self) -> Vec<usize> {
        let holders = self.jetstream().get_key_value(SESSION_HOLDERS_BUCKET).await.expect("the bucket");
        let keys: Vec<String> = holders.keys().await.expect("keys").try_collect().await.expect("keys");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for key in keys {
            let record = holders.get(key).await.expect("a record").unwrap_or_default();
            let holder: Value = serde_json::from_slice(&record).unwrap_or_default();
            *counts.entry(holder["gateway"].to_string()).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }

    /// A cable to WhatsApp, and the setting that leads through it.
    pub fn cable_to_whatsapp(&self) -> (NetworkCable, String) {
        let cable = NetworkCable::to(self.simulator.addr());
        let url = format!("ws://{}/ws/chat", cable.addr());
        (cable, url)
    }

    /// Checks that the contact received each of the texts, and received it once.
    pub async fn were_sent_once(&self, contact: &str, texts: impl IntoIterator<Item = String>) {
        let got = self.simulator.received_by(contact).await;
        for text in texts {
            assert_eq!(got.iter().filter(|message| message["text"] == text.as_str()).count(), 1, "{text}");
        }
    }

    pub async fn send(&self, session: &str, to: &str, text: &str) -> Result<SentMessage, String> {
        self.ask(session, Command::SendText, SendText::new(to.parse().expect("a recipient"), text)).await
    }

    /// The texts that each session received from each contact, in the order of EVENTS.
    pub async fn received(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut received: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for event in self.events().await {
            let data = &event["data"];
            if event["event"] == "message.received" {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let chat = (text(&data["session"]), text(&data["from"]));
                received.entry(chat).or_default().push(text(&data["content"]["text"]));
            }
        }
        received
    }

    pub async fn events(&self) -> Vec<Value> {
        let stream: Stream = self.jetstream().get_stream(stream::EVENTS).await.expect("the stream");
        let mut left = stream.cached_info().state.messages;
        let mut events = Vec::new();
        let consumer = stream.create_consumer(OrderedConfig::default()).await.expect("a consumer");
        let mut messages = consumer.messages().await.expect("messages");
        while left > 0 {
            let message = messages.next().await.expect("an event").expect("an event");
            events.push(serde_json::from_slice(&message.payload).expect("JSON"));
            left -= 1;
        }
        events
    }

    pub async fn writes(&self, account: &str, contact: &str, text: &str) {
        self.simulator.contact_sends(contact, json!({"text": text, "to": account})).await;
    }

    pub async fn arrives(&self, text: &str) {
        until(format!("{text} to arrive"), SOON, || async {
            let received = self.received().await;
            if received.values().flatten().any(|one| one == text) { Ok(()) } else { Err(format!("{received:?}")) }
        })
        .await;
    }
}

/// Numbered texts to all accounts, all the time.
pub struct Load {
    accounts: Vec<(String, String)>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Load {
    /// `accounts` are sessions with their numbers.
    pub fn begin(fleet: &Arc<Fleet>, accounts: &[(String, String)], pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let (fleet, stop, accounts) = (Arc::clone(fleet), Arc::clone(&stop), accounts.to_vec());
            async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    for (_, account) in &accounts {
                        for contact in CONTACTS {
                            fleet.writes(account, contact, &format!("text {number}")).await;
                        }
                    }
                    number += 1;
                    tokio::time::sleep(pause).await;
                }
                number
            }
        });
        Self { accounts: accounts.to_vec(), stop, task }
    }

    /// Ends it, and waits until every text has arrived once and in order. Gives the number of texts in each chat.
    pub async fn end(self, fleet: &Fleet) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let count = self.task.await.expect("the load");
        let expected: Vec<String> = (0..count).map(|number| format!("text {number}")).collect();
        until("each text in each chat, once and in order", SOON * 2, || async {
            let received = fleet.received().await;
            let wrong = received.iter().find(|(_, texts)| **texts != expected);
            match wrong {
                None if received.len() == self.accounts.len() * CONTACTS.len() => Ok(()),
                None => Err(format!("{} chats", received.len())),
                Some((chat, texts)) => {
                    let missing: Vec<_> = expected.iter().filter(|text| !texts.contains(text)).collect();
                    Err(format!("{chat:?}: {} of {count} texts, without {missing:?}: {texts:?}", texts.len()))
                }
            }
        })
        .await;
        let undecryptable =
            fleet.events().await.iter().filter(|event| event["event"] == "message.undecryptable").count();
        assert_eq!(undecryptable, 0);
        count
    }
}

/// `default` and others, each with a number of its own.
pub fn accounts(count: usize) -> Vec<(String, String)> {
    let name = |index| if index == 0 { SessionId::DEFAULT.to_owned() } else { format!("s{index}") };
    (0..count).map(|index| (name(index), format!("62812300090{index:02}"))).collect()
}
