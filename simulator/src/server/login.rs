//! Lets a connection in or refuses it: registration, login, replaced, failures.
//! Leaves linking to `pairing` and everything after `<success>` to the stanza modules.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use buffa::Message as _;
use tokio::sync::Notify;
use wacore_binary::{NodeRef, builder::NodeBuilder};
use waproto::whatsapp::ClientPayload;

use crate::{
    connection::{ClientConnection, ClientRegistration, ConnectionId, ConnectionPhase, OutboxItem},
    faults::FaultKind,
    phone_number::PhoneNumber,
    refusals::{ConnectionEnd, StreamError},
    signal::CompanionKeys,
    state::ServerState,
    timers::TimerAction,
};

/// Between the last stanza and the close. A client that sees the socket close in the same moment may
/// take it for a lost connection, and never read why.
const LAST_WORD: Duration = Duration::from_millis(250);

/// `<failure>` for a companion that is not linked (any more): the client logs out.
const NOT_LINKED: u16 = 401;

impl ServerState {
    /// A handshake is done: registers the connection and answers its payload.
    pub fn connected(&mut self, client_static: [u8; 32], payload: &[u8]) -> ConnectionId {
        self.next_connection += 1;
        let id = ConnectionId(self.next_connection);
        self.connections.insert(
            id,
            ClientConnection {
                phase: ConnectionPhase::Ended,
                outbox: VecDeque::new(),
                wake: Arc::new(Notify::new()),
                online: false,
                presences: Vec::new(),
                available: false,
                subscriptions: BTreeMap::new(),
                live_channels: BTreeMap::new(),
                held: None,
            },
        );
        if let Err(error) = self.admit(id, client_static, payload) {
            tracing::warn!(connection = id.0, "a client's payload is unusable: {error:#}");
            self.end(id, &ConnectionEnd::Failure { reason: 400, code: None, expire: None });
        }
        id
    }

    /// A socket is gone. What was written and not acknowledged stays in the queue.
    pub fn disconnected(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        let Some((number, device)) = connection.logged_in() else { return };
        if let Some(companion) = self.people.companion_mut(number, device)
            && companion.connection == Some(id)
        {
            companion.connection = None;
            tracing::info!("{number} device {device} left");
        }
        self.availability_changed(number);
    }

    /// Says how it ends, and closes. From now on nothing more is heard.
    pub fn end(&mut self, id: ConnectionId, ending: &ConnectionEnd) {
        match ending.node() {
            Some(node) => {
                self.send(id, node);
                self.timers.after(LAST_WORD, TimerAction::Close(id));
            }
            None => self.close(id),
        }
        let mut ended = None;
        if let Some(connection) = self.connections.get_mut(&id) {
            let phase = std::mem::replace(&mut connection.phase, ConnectionPhase::Ended);
            connection.available = false;
            if let ConnectionPhase::LoggedIn { number, device } = phase {
                if let Some(companion) = self.people.companion_mut(&number, device)
                    && companion.connection == Some(id)
                {
                    companion.connection = None;
                }
                ended = Some(number);
            }
        }
        if let Some(number) = ended {
            self.availability_changed(&number);
        }
    }

    pub fn wake_of(&self, id: ConnectionId) -> Option<Arc<Notify>> {
        self.connections.get(&id).map(|connection| Arc::clone(&connection.wake))
    }

    fn admit(&mut self, id: ConnectionId, client_static: [u8; 32], payload: &[u8]) -> Result<()> {
        let payload = ClientPayload::decode_from_slice(payload).context("decode the payload")?;
        if let Some(data) = payload.device_pairing_data.as_option() {
            let keys = CompanionKeys::from_registration(data, client_static)?;
            self.register(id, keys, payload.push_name);
            return Ok(());
        }
        let username = payload.username.context("neither registration nor username")?;
        let number: PhoneNumber = username.to_string().parse().map_err(anyhow::Error::msg)?;
        let device = u16::try_from(payload.device.unwrap_or_default())?;
        self.log_in(id, number, device, client_static);
        Ok(())
    }

    fn register(&mut self, id: ConnectionId, keys: CompanionKeys, push_name: Option<String>) {
        if let Some(ending) = self.refusals.for_login(None) {
            self.end(id, &ending);
            return;
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = ConnectionPhase::Registering(Box::new(ClientRegistration {
                keys,
                push_name: push_name.filter(|name| !name.is_empty()),
                refs: Vec::new(),
                code: None,
                passkey: None,
                agreed: None,
            }));
        }
        self.show_qr(id);
    }

    fn log_in(&mut self, id: ConnectionId, number: PhoneNumber, device: u16, noise: [u8; 32]) {
        if let Some(ending) = self.refusals.for_login(Some(&number)) {
            tracing::info!("{number} device {device} is refused: {ending:?}");
            self.end(id, &ending);
            return;
        }
        let known = self.people.companion_mut(&number, device).filter(|companion| companion.keys.noise == noise);
        let Some(companion) = known else {
            let devices = self.devices_of(&number);
            let why = if devices.contains(&device) { "it has another key" } else { "there is no such device" };
            tracing::info!("{number} device {device} is not linked: {why}, of {devices:?}");
            self.end(id, &ConnectionEnd::Failure { reason: NOT_LINKED, code: None, expire: None });
            return;
        };
        let older = companion.connection.replace(id);
        if let Some(older) = older {
            self.end(older, &ConnectionEnd::StreamError(StreamError::Conflict("replaced".to_owned())));
            // `end` took the companion's connection away only if it was the older one.
            if let Some(companion) = self.people.companion_mut(&number, device) {
                companion.connection = Some(id);
            }
        }
        self.statistics.logins += 1;
        let name = self.people.get(&number).map(|person| person.push_name.clone()).unwrap_or_default();
        let now = self.now().to_string();
        let success = NodeBuilder::new("success")
            .attr("t", now.as_str())
            .attr("creation", now)
            .attr("props", "27")
            .attr("location", "sim")
            .attr("lid", number.lid_jid(device))
            .attr("display_name", name)
            .build();
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = ConnectionPhase::LoggedIn { number, device };
            connection.push(OutboxItem::Stanza(Box::new(success)));
        }
    }

    /// One stanza of a client.
    pub fn on_stanza(&mut self, id: ConnectionId, stanza: &NodeRef<'_>) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        match &connection.phase {
            ConnectionPhase::Ended => {}
            ConnectionPhase::Registering(_) => {
                self.statistics.came(&stanza.tag);
                self.on_registration_stanza(id, stanza);
            }
            ConnectionPhase::LoggedIn { number, device } => {
                let (number, device) = (number.clone(), *device);
                let is_ping = || stanza.get_attr("xmlns").is_some_and(|namespace| namespace.as_str() == "w:p");
                match self.faults.hush(number.as_str(), device) {
                    Some(FaultKind::HalfDeaf) if is_ping() => {}
                    Some(_) => return,
                    None => {}
                }
                self.statistics.came(&stanza.tag);
                self.on_companion_stanza(id, &number, device, stanza);
            }
        }
    }
}
