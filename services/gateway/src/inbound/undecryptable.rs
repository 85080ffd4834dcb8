//! Messages that came and could not be read: most come again within a second, sent anew by their writer or the phone.
//!
//! So they wait, and only what has not come in time is told of. What the phone alone may show is told at once.

use super::mapping::EventSource;
use crate::inbound::addresses::AddressDirectory;
use kurir_contract::{
    event::{EventType, MessageUndecryptable, UndecryptableReason},
    session::SessionId,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use wacore::types::events::{DecryptFailMode, UnavailableType, UndecryptableMessage};

/// Messages that wait at once. A peer that floods with garbage pushes out his own: the newest are not waited for.
const WAITING: usize = 10_000;

/// Those that wait; clones share them.
#[derive(Clone)]
pub struct UndecryptableQueue {
    /// How long one waits.
    pub wait: Duration,
    waiting: Arc<Mutex<HashMap<String, WaitingMessage>>>,
}

struct WaitingMessage {
    until: Instant,
    message: UndecryptableMessage,
}

impl UndecryptableQueue {
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self { wait, waiting: Arc::default() }
    }

    /// Begins to wait for a message.
    pub fn push(&self, message: &UndecryptableMessage, now: Instant) {
        let certain = message.unavailable_type.is_unrecoverable_fanout();
        let until = if certain { now } else { now + self.wait };
        let mut waiting = self.lock();
        if waiting.len() < WAITING {
            waiting.insert(message.info.id.clone(), WaitingMessage { until, message: message.clone() });
        }
    }

    /// It came after all.
    pub fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Those that have waited long enough.
    #[must_use]
    pub fn take_due(&self, now: Instant) -> Vec<UndecryptableMessage> {
        let mut due = Vec::new();
        self.lock().retain(|_, one| {
            let waits = one.until > now;
            if !waits {
                due.push(one.message.clone());
            }
            waits
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, WaitingMessage>> {
        // Each change is one call, so a panic elsewhere left the map whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event's `data`. Pure.
#[must_use]
pub fn undecryptable_data(
    message: &UndecryptableMessage,
    directory: &AddressDirectory,
    session: &SessionId,
) -> MessageUndecryptable {
    let info = &message.info;
    let place = EventSource { chat: &info.source.chat, author: &info.source.sender, from_me: info.source.is_from_me };
    MessageUndecryptable {
        message_id: info.id.clone(),
        reason: match message.unavailable_type {
            UnavailableType::Unknown => UndecryptableReason::NotSentAgain,
            UnavailableType::ViewOnce => UndecryptableReason::ViewOnce,
            UnavailableType::Hosted => UndecryptableReason::Hosted,
            UnavailableType::Bot => UndecryptableReason::Bot,
        },
        hidden: message.decrypt_fail_mode == DecryptFailMode::Hide,
        timestamp: info.timestamp.timestamp_millis(),
        origin: place.event_origin(directory, session, &EventType::MESSAGE_UNDECRYPTABLE, (&info.id, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::types::message::MessageInfo;

    fn message(id: &str, unavailable: UnavailableType) -> UndecryptableMessage {
        UndecryptableMessage::builder()
            .info(Arc::new(MessageInfo { id: id.to_owned(), ..MessageInfo::default() }))
            .is_unavailable(unavailable != UnavailableType::Unknown)
            .unavailable_type(unavailable)
            .decrypt_fail_mode(DecryptFailMode::Show)
            .build()
    }

    #[test]
    fn only_what_does_not_come_in_time_is_told_of() {
        let (undecryptable, now) = (UndecryptableQueue::new(Duration::from_secs(60)), Instant::now());
        for id in ["comes", "stays"] {
            undecryptable.push(&message(id, UnavailableType::Unknown), now);
        }
        undecryptable.remove("comes");
        assert!(undecryptable.take_due(now + Duration::from_secs(59)).is_empty());
        let due = undecryptable.take_due(now + Duration::from_secs(60));
        assert_eq!(due.iter().map(|due| due.info.id.as_str()).collect::<Vec<_>>(), ["stays"]);
        assert!(undecryptable.take_due(now + Duration::from_secs(61)).is_empty(), "told of once");
    }

    #[test]
    fn what_nobody_sends_again_is_told_of_at_once() {
        let (undecryptable, now) = (UndecryptableQueue::new(Duration::from_secs(60)), Instant::now());
        undecryptable.push(&message("once", UnavailableType::ViewOnce), now);
        let due = undecryptable.take_due(now);
        let told = undecryptable_data(&due[0], &AddressDirectory::default(), &SessionId::default());
        assert_eq!((told.reason, told.hidden), (UndecryptableReason::ViewOnce, false));
    }
}
