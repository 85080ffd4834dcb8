//! What the tests share: a simulator with its control API, and a real client with its events.
//! Every wait is for a condition and says what it last saw.

use std::{
    fmt::Debug,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use whatsapp_rust::{
    Jid,
    bot::{Bot, BotHandle, EventDelivery},
    client::Client,
    store::SqliteStore,
    transport::TokioWebSocketTransportFactory,
    types::events::Event,
};
use whatsapp_simulator::{Config, Simulator};

/// Long enough for a loaded machine; a healthy wait takes milliseconds.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Sim {
    simulator: Option<Simulator>,
    http: reqwest::Client,
    base: String,
}

impl Sim {
    pub async fn start() -> Self {
        Self::with(Config::for_tests()).await
    }

    pub async fn with(config: Config) -> Self {
        // Whoever is first installs it for the whole process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if std::env::var_os("RUST_LOG").is_some() {
            let _ = tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .with_test_writer()
                .try_init();
        }
        let simulator = Simulator::start(config).await.unwrap();
        Self { base: format!("http://{}", simulator.listen), http: reqwest::Client::new(), simulator: Some(simulator) }
    }

    pub async fn stop(mut self) {
        if let Some(simulator) = self.simulator.take() {
            simulator.stop().await.unwrap();
        }
    }

    /// The control API's address, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn socket(&self) -> String {
        format!("{}/ws/chat", self.base.replace("http", "ws"))
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {value}");
        value
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.call("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {value}");
        value
    }

    pub async fn raw(&self, path: &str, body: impl Into<String>) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).body(body.into());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A phone scans this code; gives the account's number.
    pub async fn scan(&self, code: String) -> String {
        let (status, answer) = self.raw("/admin/mock-phone/scan-qr", code).await;
        assert_eq!(status, 200, "{answer}");
        answer["number"].as_str().unwrap().to_owned()
    }

    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert!(response.status().is_success(), "GET {path}: {}", response.status());
        response.bytes().await.unwrap().to_vec()
    }

    /// A contact writes a text to an account; gives the message's id.
    pub async fn text(&self, from: &str, text: &str, more: Value) -> String {
        let mut body = json!({"text": text});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let answer = self.post(&format!("/contacts/{from}/messages"), body).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a GET shows what is wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.get(path).await;
            if wanted(&value) {
                return value;
            }
            assert!(begun.elapsed() < DEADLINE, "GET {path} still shows {value:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the ledger's line of this message has this state.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        let path = format!("/messages?id={id}");
        self.until(&path, |lines| {
            let lines = lines.as_array().unwrap();
            !lines.is_empty() && lines.iter().all(|line| line["state"] == state)
        })
        .await
    }

    /// Waits until a contact has received a message with this text.
    pub async fn until_received(&self, contact: &str, text: &str) -> Value {
        let path = format!("/contacts/{contact}/messages");
        let all = self.until(&path, |all| find_text(all, text).is_some()).await;
        find_text(&all, text).unwrap()
    }
}

fn find_text(all: &Value, text: &str) -> Option<Value> {
    all.as_array()?.iter().find(|message| message["text"] == text || message["caption"] == text).cloned()
}

/// What a client heard, as far as tests ask for it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub id: String,
    pub chat: Jid,
    pub sender: Jid,
    pub sender_alt: Option<Jid>,
    pub from_me: bool,
    pub push_name: String,
    pub text: String,
    pub offline: bool,
}

pub struct Phone {
    handle: Option<BotHandle>,
    pub client: Arc<Client>,
    events: Arc<Events>,
}

#[derive(Default)]
struct Events {
    all: Mutex<Vec<Arc<Event>>>,
    came: Notify,
}

pub struct Setup<'a> {
    pub store: &'a str,
    pub push_name: Option<&'a str>,
}

impl Phone {
    /// A client on this store, running, in whatever state it gets to.
    pub async fn run(sim: &Sim, setup: Setup<'_>) -> Self {
        let events = Arc::new(Events::default());
        let sink = Arc::clone(&events);
        let mut builder = Bot::builder()
            .with_backend(SqliteStore::new(setup.store).await.unwrap())
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(sim.socket()))
            .with_version((2, 3000, 1_023_000_000))
            .with_wanted_pre_key_count(50)
            .with_event_delivery(EventDelivery::Ordered { capacity: 100_000 })
            .on_event(move |event, _client| {
                let sink = Arc::clone(&sink);
                async move {
                    sink.all.lock().unwrap().push(event);
                    sink.came.notify_waiters();
                }
            });
        if let Some(name) = setup.push_name {
            builder = builder.with_push_name(name);
        }
        let bot = builder.build().await.unwrap();
        let client = bot.client();
        Self { client, handle: Some(bot.spawn()), events }
    }

    /// A new client, paired by QR and connected.
    pub async fn paired(sim: &Sim, folder: &Path, push_name: Option<&str>) -> Self {
        let store = folder.join(format!("{}.db", push_name.unwrap_or("default")));
        let store = store.to_str().unwrap();
        let phone = Self::run(sim, Setup { store, push_name }).await;
        phone.scan(sim).await;
        phone.connected().await;
        phone
    }

    pub async fn qr(&self) -> String {
        self.until(|event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn scan(&self, sim: &Sim) -> Value {
        let qr = self.qr().await;
        let (status, answer) = sim.raw("/admin/mock-phone/scan-qr", qr).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub async fn connected(&self) {
        self.until(|event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    /// How many events fit so far.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        let all = self.events.all.lock().unwrap();
        all.iter().filter(|event| wanted(event)).count()
    }

    /// The first event that fits, past or to come.
    pub async fn until<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        self.until_nth(1, wanted).await
    }

    pub async fn until_nth<T>(&self, nth: usize, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                let came = self.events.came.notified();
                tokio::pin!(came);
                came.as_mut().enable();
                let found = {
                    let all = self.events.all.lock().unwrap();
                    all.iter().filter_map(|event| wanted(event)).nth(nth - 1)
                };
                if let Some(found) = found {
                    return found;
                }
                came.await;
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(found) => found,
            Err(_) => {
                let all = self.events.all.lock().unwrap();
                let seen: Vec<String> =
                    all.iter().map(|event| format!("{event:?}").chars().take(200).collect()).collect();
                panic!("the event did not come; seen: {seen:#?}");
            }
        }
    }

    /// Every text heard so far, in order.
    pub fn heard(&self) -> Vec<Heard> {
        let all = self.events.all.lock().unwrap();
        all.iter()
            .filter_map(|event| match &**event {
                Event::Messages(batch) => Some(batch),
                _ => None,
            })
            .flat_map(|batch| batch.messages.iter())
            .filter_map(|message| {
                let body = &message.message;
                let body =
                    body.device_sent_message.as_option().and_then(|sent| sent.message.as_option()).unwrap_or(body);
                let text = body
                    .conversation
                    .clone()
                    .or_else(|| body.extended_text_message.as_option().and_then(|text| text.text.clone()))?;
                let info = &message.info;
                Some(Heard {
                    id: info.id.clone(),
                    chat: info.source.chat.clone(),
                    sender: info.source.sender.clone(),
                    sender_alt: info.source.sender_alt.clone(),
                    from_me: info.source.is_from_me,
                    push_name: info.push_name.clone(),
                    text,
                    offline: info.is_offline,
                })
            })
            .collect()
    }

    pub async fn until_heard(&self, text: &str) -> Heard {
        until(|| self.heard().into_iter().find(|heard| heard.text == text), || self.heard()).await
    }

    /// The server's ack of a sent message, with the number of a nack.
    pub async fn until_acked(&self, id: &str) -> Option<String> {
        self.until(|event| match event {
            Event::ServerAck(ack) if ack.id == id && ack.class.as_deref() == Some("message") => Some(ack.error.clone()),
            _ => None,
        })
        .await
    }

    pub async fn send(&self, to: &str, text: &str) -> String {
        let to: Jid = to.parse().unwrap();
        self.client.send_text(to, text).await.unwrap().message_id
    }

    /// Waits until the client's run loop has ended by itself.
    pub async fn until_ended(&mut self) {
        let handle = self.handle.take().unwrap();
        tokio::time::timeout(DEADLINE, handle).await.unwrap();
    }

    pub async fn shutdown(mut self) {
        if let Some(handle) = self.handle.take() {
            handle.shutdown().await;
        }
    }
}

/// Waits until something is there.
pub async fn until<T, S: Debug>(wanted: impl Fn() -> Option<T>, seen: impl Fn() -> S) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "still waiting; last seen: {:#?}", seen());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
