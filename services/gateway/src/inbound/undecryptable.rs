//! Messages that arrived and could not be decrypted. Most come again within a second, from their sender or from the
//! phone.
//!
//! So each one waits, and only a message that has not come in time is reported. A message that only the phone may show
//! is reported at once.

use super::mapping::EventSource;
use crate::{
    byte_budget::{ByteBudget, ByteReservation},
    inbound::addresses::AddressDirectory,
};
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
use wacore::types::{
    events::{DecryptFailMode, UnavailableType, UndecryptableMessage},
    message::MessageInfo,
};

/// Messages that wait at the same time. A peer that floods the session with garbage displaces nothing: further messages
/// are dropped.
const WAITING: usize = 10_000;
/// Their bytes: a peer chooses how long its name is.
const WAITING_BYTES: usize = 16_000_000;
/// The bytes of a message besides its texts.
const FIXED_BYTES: usize = 1_000;

/// The waiting messages. Clones share them.
#[derive(Clone)]
pub struct UndecryptableQueue {
    /// How long a message waits.
    pub wait: Duration,
    waiting: Arc<Mutex<HashMap<String, WaitingMessage>>>,
    bytes: ByteBudget,
}

struct WaitingMessage {
    until: Instant,
    /// The client asks for it by itself, or the phone was asked for it here.
    is_asked_for: bool,
    message: UndecryptableMessage,
    _bytes: ByteReservation,
}

impl UndecryptableQueue {
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self { wait, waiting: Arc::default(), bytes: ByteBudget::new(WAITING_BYTES) }
    }

    /// Adds a message that could not be decrypted.
    pub fn push(&self, message: &UndecryptableMessage, now: Instant) {
        let certain = message.unavailable_type.is_unrecoverable_fanout();
        let until = if certain { now } else { now + self.wait };
        let size = FIXED_BYTES + 2 * message.info.id.len() + message.info.push_name.len();
        let Some(bytes) = self.bytes.reserve(size) else { return };
        let mut waiting = self.lock();
        if waiting.len() < WAITING {
            // The client asks nobody for what the account itself wrote on another device in a direct chat.
            let is_asked_for = certain || !message.info.source.is_from_me;
            let message = WaitingMessage { until, is_asked_for, message: message.clone(), _bytes: bytes };
            waiting.insert(message.message.info.id.clone(), message);
        }
    }

    /// Removes a message that has come after all.
    pub fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// The account's own messages that nobody was asked for yet, at most `most` of them. They count as asked for now.
    #[must_use]
    pub fn begin_asking(&self, most: usize) -> Vec<Arc<MessageInfo>> {
        let mut waiting = self.lock();
        let unasked = waiting.values_mut().filter(|one| !one.is_asked_for).take(most);
        unasked
            .map(|one| {
                one.is_asked_for = true;
                Arc::clone(&one.message.info)
            })
            .collect()
    }

    /// Nobody could be asked for this message, so it is asked for again.
    pub fn ask_again(&self, id: &str) {
        if let Some(one) = self.lock().get_mut(id) {
            one.is_asked_for = false;
        }
    }

    /// Takes the messages that have waited long enough.
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
    fn long_names_take_no_more_than_their_share() {
        let (undecryptable, now) = (UndecryptableQueue::new(Duration::from_secs(60)), Instant::now());
        let named = |id: String| {
            let info = MessageInfo { id, push_name: "x".repeat(1_000_000), ..MessageInfo::default() };
            UndecryptableMessage::builder()
                .info(Arc::new(info))
                .is_unavailable(false)
                .unavailable_type(UnavailableType::Unknown)
                .decrypt_fail_mode(DecryptFailMode::Show)
                .build()
        };
        for n in 0..100 {
            undecryptable.push(&named(n.to_string()), now);
        }
        assert_eq!(undecryptable.lock().len(), 15);
        undecryptable.remove("0");
        undecryptable.push(&named("later".to_owned()), now);
        assert!(undecryptable.lock().contains_key("later"));
    }

    #[test]
    fn the_phone_is_asked_once_for_what_the_account_wrote_elsewhere() {
        let (undecryptable, now) = (UndecryptableQueue::new(Duration::from_secs(60)), Instant::now());
        let own = |id: &str, unavailable| {
            let mut message = message(id, unavailable);
            let mut info = MessageInfo { id: id.to_owned(), ..MessageInfo::default() };
            info.source.is_from_me = true;
            message.info = Arc::new(info);
            message
        };
        undecryptable.push(&message("of somebody", UnavailableType::Unknown), now);
        undecryptable.push(&own("shown on the phone only", UnavailableType::ViewOnce), now);
        for id in ["one", "two"] {
            undecryptable.push(&own(id, UnavailableType::Unknown), now);
        }
        let mut asked: Vec<String> = undecryptable.begin_asking(1).iter().map(|info| info.id.clone()).collect();
        asked.extend(undecryptable.begin_asking(10).iter().map(|info| info.id.clone()));
        asked.sort();
        assert_eq!(asked, ["one", "two"]);
        assert!(undecryptable.begin_asking(10).is_empty());
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
