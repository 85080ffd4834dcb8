//! Publishes what happens besides messages: acknowledgements, groups, calls, presence, contacts.
//!
//! WhatsApp counts these as delivered when the client has them, so each is published at most once. They wait for the
//! broker in order and as long as a message's hook does, and are lost if the gateway ends or leaves before.

mod acks;
mod calls;
mod groups;
mod history;
mod notice_event;
mod people;

use super::{
    MessageMapper,
    addresses::{AddressDirectory, learned_directory, look_up_addresses},
    learned_pairs::{pairs_in_conversation, pairs_in_event},
    undecryptable::{self, UndecryptableQueue},
};
use crate::{
    publish::{EventPublisher, OutgoingEvent},
    session::SessionView,
    shared_ticks::shared_interval,
};
pub use calls::RingingCalls;
use kurir_contract::{clock, event::EventType, session::SessionId};
use notice_event::NoticeEvent;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use wacore::types::{events::Event, message::MessageInfo};
use wacore_binary::Jid;
use waproto::whatsapp::Conversation;
use whatsapp_rust::Client;

/// Notices that wait for the broker, a few kilobytes each: enough for the receipts of a large group. When the queue is
/// full the newest are lost.
const WAITING: usize = 8_192;
/// A notice that waited out an outage has at least this much time when its turn comes.
const LAST_TRY: Duration = Duration::from_secs(1);
/// Messages of the account for which the phone is asked in a row.
const ASKED_AT_ONCE: usize = 20;
/// How exactly the wait for an undecryptable message ends.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The sending end, for the client's listener.
#[derive(Clone)]
pub struct NoticeQueue(mpsc::Sender<(Instant, Arc<Event>)>);

/// The receiving end, which keeps the order.
pub struct NoticeWorker(mpsc::Receiver<(Instant, Arc<Event>)>);

#[must_use]
pub fn notice_channel() -> (NoticeQueue, NoticeWorker) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (NoticeQueue(sender), NoticeWorker(receiver))
}

impl NoticeQueue {
    pub fn push(&self, event: Arc<Event>) {
        if self.0.try_send((Instant::now(), event)).is_err() {
            tracing::error!("a notice of WhatsApp was lost: too many wait for NATS");
        }
    }
}

impl NoticeWorker {
    /// Publishes the notices in order until the shutdown.
    ///
    /// # Errors
    /// Never; the type is the supervisor's.
    pub async fn run(
        mut self,
        inbound: MessageMapper,
        publisher: EventPublisher,
        wait: Duration,
        mut view: watch::Receiver<SessionView>,
        calls: RingingCalls,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut teller = NoticePublisher { inbound, publisher, wait, calls };
        let mut look = shared_interval(LOOK_EVERY);
        // Asking may wait until the client has read its backlog; notices do not wait for that.
        let mut asking = JoinSet::new();
        let publish_all = async {
            loop {
                let heard = tokio::select! {
                    heard = self.0.recv() => heard,
                    Some(_) = asking.join_next() => continue,
                    _ = look.tick() => None,
                };
                // The client's store knows the addresses. Between two connections there is no client for a moment.
                let client =
                    view.wait_for(|view| view.client.is_some()).await.ok().and_then(|view| view.client.clone());
                let Some(client) = client else { return };
                match heard {
                    Some((at, event)) => teller.publish_event(&client, event, at + wait).await,
                    None if asking.is_empty() => {
                        let waiting = &teller.inbound.undecryptable;
                        let unasked = waiting.begin_asking(ASKED_AT_ONCE);
                        if !unasked.is_empty() {
                            asking.spawn(ask_phone(Arc::clone(&client), unasked, waiting.clone()));
                        }
                    }
                    None => {}
                }
                teller.publish_undecryptable(&client).await;
            }
        };
        tokio::select! {
            () = publish_all => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancelled().await;
        Ok(())
    }
}

struct NoticePublisher {
    inbound: MessageMapper,
    publisher: EventPublisher,
    /// How long a notice waits for the broker.
    wait: Duration,
    calls: RingingCalls,
}

impl NoticePublisher {
    async fn publish_event(&mut self, client: &Client, event: Arc<Event>, deadline: Instant) {
        if let Event::HistorySync(past) = &*event {
            self.publish_history(client, past.progress(), history::unpack_conversations(Arc::clone(&event))).await;
            return;
        }
        let mut directory = learned_directory(client, &pairs_in_event(&event)).await;
        look_up_addresses(client, &mut directory, &referenced_people(&event)).await;
        for notice in map_event(&event, &directory, &self.inbound.session, &self.calls) {
            self.publish_notice(notice, deadline).await;
        }
    }

    async fn publish_history(
        &self,
        client: &Client,
        progress: Option<u32>,
        mut conversations: mpsc::Receiver<Conversation>,
    ) {
        while let Some(conversation) = conversations.recv().await {
            let mut directory = learned_directory(client, &pairs_in_conversation(&conversation)).await;
            look_up_addresses(client, &mut directory, &history::referenced_people(&conversation)).await;
            for notice in history::history_notices(&conversation, progress, &directory, &self.inbound.session) {
                self.publish_notice(notice, Instant::now() + self.wait).await;
            }
        }
    }

    /// Asks the phone for the account's own messages that could not be read.
    async fn publish_undecryptable(&self, client: &Client) {
        for message in self.inbound.undecryptable.take_due(Instant::now()) {
            if super::mapping::check_wanted(&message.info, self.inbound.statuses).is_err() {
                continue;
            }
            let (_, directory) = super::addresses::message_directories(client, &message.info, &[]).await;
            let data = undecryptable::undecryptable_data(&message, &directory, &self.inbound.session);
            tracing::info!(event.id = %data.origin.event_id, "a message could not be decrypted");
            let notice = NoticeEvent::new(EventType::MESSAGE_UNDECRYPTABLE, data.origin.event_id.clone(), data);
            self.publish_notice(notice, Instant::now() + self.wait).await;
        }
    }

    async fn publish_notice(&self, NoticeEvent { kind, id, data }: NoticeEvent, deadline: Instant) {
        let event = OutgoingEvent::new(&self.inbound.session, kind, id, clock::now(), data);
        let deadline = deadline.max(Instant::now() + LAST_TRY);
        if let Err(error) = self.publisher.publish(&event, deadline).await {
            tracing::warn!(event.id = %event.id, "a notice of WhatsApp was lost: {error}");
        }
    }
}

/// Asks the account's phone for messages that the account wrote on another device.
async fn ask_phone(client: Arc<Client>, unasked: Vec<Arc<MessageInfo>>, waiting: UndecryptableQueue) {
    for info in unasked {
        if let Err(error) = client.send_pdo_placeholder_resend_request(&info).await {
            tracing::debug!("the phone was not asked for a message of the account: {error}");
            waiting.ask_again(&info.id);
        }
    }
}

/// The events of one event of the client. Pure except for the ringing calls.
fn map_event(
    event: &Event,
    directory: &AddressDirectory,
    session: &SessionId,
    calls: &RingingCalls,
) -> Vec<NoticeEvent> {
    match event {
        Event::ServerAck(ack) => acks::server_ack_notice(ack, directory, session).into_iter().collect(),
        Event::Receipt(receipt) => acks::receipt_notices(receipt, directory, session),
        Event::GroupUpdate(update) => groups::group_notice(update, directory, session).into_iter().collect(),
        Event::PictureUpdate(picture) => people::picture_notice(picture, directory, session).into_iter().collect(),
        Event::IncomingCall(call) => calls.call_notice(call, directory, session).into_iter().collect(),
        Event::MissedCall(missed) => calls.missed_call_notice(missed, directory, session).into_iter().collect(),
        event => people::person_notice(event, directory, session).into_iter().collect(),
    }
}

/// The people in an event. They are looked up.
fn referenced_people(event: &Event) -> Vec<Jid> {
    let source = |source: &wacore::types::message::MessageSource| vec![source.chat.clone(), source.sender.clone()];
    match event {
        Event::ServerAck(ack) => ack.from.iter().cloned().collect(),
        Event::Receipt(receipt) => source(&receipt.source),
        Event::ChatPresence(presence) => source(&presence.source),
        Event::GroupUpdate(update) => groups::referenced_people(update),
        Event::PictureUpdate(picture) => std::iter::once(&picture.jid).chain(&picture.author).cloned().collect(),
        Event::IncomingCall(call) => vec![call.from.clone(), call.action.call_creator().clone()],
        Event::MissedCall(missed) => vec![missed.from.clone()],
        Event::Presence(presence) => vec![presence.from.clone()],
        Event::UserAboutUpdate(about) => vec![about.jid.clone()],
        Event::ContactUpdated(updated) => vec![updated.jid.clone()],
        Event::ContactNumberChanged(changed) => vec![changed.old_jid.clone(), changed.new_jid.clone()],
        Event::ContactUpdate(update) => vec![update.jid.clone()],
        Event::IdentityChange(change) => vec![change.user.clone()],
        // The listener passes no others on.
        _ => Vec::new(),
    }
}

/// The addresses of these people.
pub async fn event_directory(client: &Client, named: &[Jid]) -> AddressDirectory {
    let mut directory = AddressDirectory::of_account(client.pn(), client.lid());
    look_up_addresses(client, &mut directory, named).await;
    directory
}

#[cfg(test)]
mod tests;
