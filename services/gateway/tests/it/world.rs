//! The fixture of each test: NATS, the simulated WhatsApp and the gateway, with methods to send commands and read
//! events.

use crate::schema;
use async_nats::jetstream::{self, stream::Stream};
use kurir_contract::{
    clock,
    command::{Command, CommandError, CommandReply, EmptyBody, QueuedSend, SendText, SentMessage, SessionInfo},
    header,
    job::{JobId, JobItem, JobRecord, SendJob},
    session::SessionId,
    stream, subject,
};
use kurir_test_harness::{Nats, Process, stack::Simulator, until};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// For steps that take a second on a quiet machine.
pub const SOON: Duration = Duration::from_secs(30);
/// Longer than all tries of a send with the default settings.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// The contact of most tests, by the number that users see.
pub const BUDI: &str = "6281230000001";
pub const BUDI_JID: &str = "6281230000001@s.whatsapp.net";

pub struct World {
    pub gateway: Process,
    pub simulator: Simulator,
    pub nats: Nats,
    client: async_nats::Client,
}

/// An event as EVENTS holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    pub subject: String,
    pub body: Value,
}

impl World {
    /// A gateway that is paired by a phone that scans by itself.
    pub async fn connected(settings: &[(&str, &str)]) -> Self {
        let world = Self::start(true, settings).await;
        world.is("connected").await;
        world
    }

    /// A gateway whose phone waits for the test.
    pub async fn unpaired(settings: &[(&str, &str)]) -> Self {
        Self::start(false, settings).await
    }

    async fn start(scans: bool, settings: &[(&str, &str)]) -> Self {
        Self::start_on(Nats::start().await, scans, settings).await
    }

    /// As [`World::connected`] or [`World::unpaired`], with a NATS of the test's own.
    pub async fn start_on(nats: Nats, scans: bool, settings: &[(&str, &str)]) -> Self {
        Self::start_beside(nats, Simulator::start(scans).await, settings).await
    }

    /// A gateway with a simulator that was there before it.
    pub async fn start_beside(nats: Nats, simulator: Simulator, settings: &[(&str, &str)]) -> Self {
        let (url, whatsapp) = (nats.url(), simulator.websocket_url());
        let own = [
            ("NATS_URL", url.as_str()),
            ("WHATSAPP_URL", &whatsapp),
            ("LOG_FILE", ""),
            ("LOG_LEVEL", "info,kurir_gateway=debug"),
            // Pacing has tests of its own.
            ("SEND_GAP", "0s"),
            // Compose passes unset settings on as empty ones.
            ("HEALTH_LISTEN", ""),
            ("WHATSAPP_PUSH_NAME", ""),
        ];
        let login = Nats::login("gateway");
        let login = login.iter().map(|(variable, value)| (variable.as_str(), value.as_str()));
        let settings = login.chain(own.iter().chain(settings).copied());
        let mut gateway = Process::spawn("gateway", env!("CARGO_BIN_EXE_kurir-gateway-for-simulator"), settings);
        gateway.wait_ready(SOON).await;
        let client = nats.client().await;
        Self { gateway, simulator, nats, client }
    }

    /// The answer to a command.
    pub async fn ask<T: DeserializeOwned>(&self, command: Command, body: impl Serialize) -> Result<T, CommandError> {
        let body = serde_json::to_vec(&body).expect("a command is JSON");
        self.ask_raw(subject::command(&SessionId::default(), command), body).await
    }

    pub async fn ask_raw<T: DeserializeOwned>(&self, subject: String, body: Vec<u8>) -> Result<T, CommandError> {
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(ANSWERED_WITHIN));
        let answer = self.client.send_request(subject, request).await.expect("the gateway answers");
        match serde_json::from_slice(&answer.payload).expect("an answer") {
            CommandReply::Ok(answer) => Ok(answer),
            CommandReply::Queued(queued) => panic!("it waits: {queued:?}"),
            CommandReply::Error(refusal) => Err(refusal),
        }
    }

    pub async fn status(&self) -> SessionInfo {
        self.ask(Command::Status, EmptyBody {}).await.expect("the status is never refused")
    }

    pub async fn send(&self, to: &str, text: &str) -> Result<SentMessage, CommandError> {
        let to = to.parse().expect("a recipient");
        self.ask(Command::SendText, SendText::new(to, text)).await
    }

    /// The answer to a send that has to wait.
    pub async fn queued(&self, to: &str, text: &str) -> QueuedSend {
        let to = to.parse().expect("a recipient");
        let text = SendText::new(to, text);
        let body = serde_json::to_vec(&text).expect("a command is JSON");
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(ANSWERED_WITHIN));
        let subject = subject::command(&SessionId::default(), Command::SendText);
        let answer = self.client.send_request(subject, request).await.expect("the gateway answers");
        match serde_json::from_slice(&answer.payload).expect("an answer") {
            CommandReply::Queued(queued) => queued,
            CommandReply::Ok::<SentMessage>(sent) => panic!("it was sent: {sent:?}"),
            CommandReply::Error(refusal) => panic!("it was refused: {refusal:?}"),
        }
    }

    /// Waits until the session has this status.
    pub async fn is(&self, status: &str) -> SessionInfo {
        until(format!("the session to be {status}"), SOON * 2, || async {
            // With a short deadline, because the gateway may be starting.
            let request = async_nats::Request::new().payload("{}".into()).timeout(Some(Duration::from_secs(2)));
            let subject = subject::command(&SessionId::default(), Command::Status);
            let answer = self.client.send_request(subject, request).await.map_err(|error| error.to_string())?;
            let answer: CommandReply<SessionInfo> =
                serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
            match answer {
                CommandReply::Ok(answer) if answer.status.as_str() == status => Ok(answer),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits for a QR code other than `old`.
    pub async fn qr(&self, old: Option<&str>) -> String {
        until("a QR code", SOON, || async {
            let status = self.status().await;
            status.qr_code.clone().filter(|code| Some(code.as_str()) != old).ok_or(status)
        })
        .await
    }

    /// Runs SQL on the session's database and gives the first column. (Tests do not use the gateway's own SQLite.)
    pub fn sql(&self, statement: &str) -> Vec<String> {
        let script = "import sqlite3, sys\n\
            database = sqlite3.connect(sys.argv[1], timeout=10)\n\
            rows = database.execute(sys.argv[2]).fetchall()\n\
            database.commit()\n\
            print('\\n'.join(str(row[0]) for row in rows))";
        let database = self.gateway.folder().join("sessions/default/whatsapp.db");
        let output = std::process::Command::new("python3").args(["-c", script]).arg(database).arg(statement).output();
        let output = output.expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    pub async fn jetstream(&self) -> jetstream::Context {
        self.nats.jetstream().await
    }

    /// All events in EVENTS, oldest first.
    pub async fn events(&self) -> Vec<Stored> {
        let stream: Stream =
            self.jetstream().await.get_stream(stream::EVENTS).await.expect("the gateway made the stream");
        let state = &stream.cached_info().state;
        let mut events = Vec::new();
        if state.messages == 0 {
            return events;
        }
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("a stored event");
            let id = message.headers.get(header::EVENT_ID).map(ToString::to_string).unwrap_or_default();
            let body = serde_json::from_slice(&message.payload).expect("an event is JSON");
            events.push(Stored { id, subject: message.subject.to_string(), body });
        }
        events
    }

    /// The events of a type, oldest first.
    pub async fn events_of(&self, kind: &str) -> Vec<Stored> {
        self.events().await.into_iter().filter(|event| event.body["event"] == kind).collect()
    }

    /// The texts from one chat in EVENTS, oldest first.
    pub async fn texts_from(&self, chat: &str) -> Vec<String> {
        let received = self.events_of("message.received").await;
        let of_chat = received.iter().filter(|event| event.body["data"]["from"] == chat);
        of_chat.map(|event| event.body["data"]["content"]["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits for an event of this type that matches.
    pub async fn event(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Stored {
        until(format!("an event {kind}"), SOON, || async {
            let events = self.events_of(kind).await;
            events.iter().find(|event| fits(&event.body["data"])).cloned().ok_or(events)
        })
        .await
    }

    /// The same, but only its `data`.
    pub async fn data(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.event(kind, fits).await.body["data"].clone()
    }

    /// Submits a job that waits for an hour. Gives its id when it has a record.
    pub async fn jobs_record_made(&self) -> JobId {
        let text = SendText::new(BUDI.parse().expect("a number"), "later");
        let arguments = serde_json::to_value(text).expect("JSON");
        let at = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        let job = SendJob {
            id: JobId::random(),
            name: None,
            created_at: clock::now_iso(),
            send_at: Some(clock::iso(at)),
            items: vec![JobItem { command: "send-text".to_owned(), arguments, send_at: None }],
        };
        let record: JobRecord = self.ask(Command::SubmitJob, &job).await.expect("stored");
        record.id
    }

    /// Waits for the event that a job has failed because it was lost.
    pub async fn has_failed(&self, id: &JobId) {
        let failed = self.data("job.failed", |data| data["jobId"] == id.as_str()).await;
        assert_eq!(failed["reason"], "lost");
    }

    /// The number of the paired account.
    pub async fn account(&self) -> String {
        self.simulator.get("/accounts").await[0]["number"].as_str().expect("an account").to_owned()
    }

    pub async fn restart(&self) {
        let _: SessionInfo = self.ask(Command::Restart, EmptyBody {}).await.expect("a restart is never refused");
    }

    /// The statuses of the `connection.status` events, in order.
    pub async fn told(&self) -> Vec<String> {
        let events = self.events_of("connection.status").await;
        events.iter().map(|event| event.body["data"]["status"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Checks every event against its schema, and stops the gateway as a supervisor would.
    pub async fn finish(mut self) {
        for event in self.events().await {
            schema::check(&event.body);
        }
        let status = self.gateway.terminate(SOON).await;
        assert!(status.success(), "the gateway ended with {status}");
    }
}
