//! `call.received`, `call.missed`, `call.ended`: a call rings until it is accepted on another device, given up or
//! rejected.
//!
//! The gateway only reads the signals of calls. It accepts none, and rejects one if a command says so. It remembers the
//! ringing calls, so that the end of each is reported once.

use super::notice_event::NoticeEvent;
use crate::{
    inbound::{
        addresses::{AddressDirectory, chat_jid},
        mapping::EventSource,
    },
    publish::OutgoingEvent,
};
use kurir_contract::{
    address::ChatJid,
    event::{CallEvent, EventType},
    session::SessionId,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::OffsetDateTime;
use wacore::types::call::{CallAction, IncomingCall, MissedCall};
use wacore_binary::Jid;

/// Calls that ring at the same time; a phone has one. When there are more, the oldest is forgotten: its end was lost.
const RINGING: usize = 256;

/// The calls that ring. Clones share them.
#[derive(Clone, Default)]
pub struct RingingCalls(Arc<Mutex<HashMap<String, RingingCall>>>);

#[derive(Clone)]
pub struct RingingCall {
    pub caller: Jid,
    /// The address for signals to the caller.
    pub peer: Jid,
    /// The caller's number, if the signal said it.
    number: Option<Jid>,
    /// Milliseconds since 1970.
    since: i64,
    /// None if it is unknown.
    video: Option<bool>,
    group: Option<ChatJid>,
}

impl RingingCalls {
    /// The event of a call signal, if it has one.
    pub(crate) fn call_notice(
        &self,
        call: &IncomingCall,
        directory: &AddressDirectory,
        session: &SessionId,
    ) -> Option<NoticeEvent> {
        let at = call.timestamp.timestamp_millis();
        let id = call.action.call_id();
        match &call.action {
            CallAction::Offer { caller_pn, is_video, group_jid, call_creator, .. } => {
                let group = group_jid.as_ref().map(chat_jid);
                let (caller, peer, number) = (call_creator.clone(), call.from.clone(), caller_pn.clone());
                let ringing = RingingCall { caller, peer, number, since: at, video: Some(*is_video), group };
                let notice = ringing.call_event(EventType::CALL_RECEIVED, id, None, at, directory, session);
                self.add(id, ringing).then_some(notice)
            }
            CallAction::OfferNotice { call_creator, is_video, is_group, .. } => {
                let group = is_group.then(|| chat_jid(&call.from));
                let (caller, peer) = (call_creator.clone(), call.from.clone());
                let ringing = RingingCall { caller, peer, number: None, since: at, video: Some(*is_video), group };
                let notice = ringing.call_event(EventType::CALL_RECEIVED, id, None, at, directory, session);
                self.add(id, ringing).then_some(notice)
            }
            CallAction::Terminate { reason, .. } => {
                let ringing = self.lock().remove(id)?;
                let kind = end_event_type(reason.as_deref());
                Some(ringing.call_event(kind, id, reason.clone(), at, directory, session))
            }
            CallAction::Reject { reason, .. } if reason.as_deref() != Some("busy") => {
                let ringing = self.lock().remove(id)?;
                let reason = Some("rejected".to_owned());
                Some(ringing.call_event(EventType::CALL_ENDED, id, reason, at, directory, session))
            }
            // Signals with which devices agree on sound and picture.
            _ => None,
        }
    }

    /// The event of a call that rang while the gateway was away.
    pub(crate) fn missed_call_notice(
        &self,
        call: &MissedCall,
        directory: &AddressDirectory,
        session: &SessionId,
    ) -> Option<NoticeEvent> {
        let at = call.timestamp.timestamp_millis();
        let (caller, peer) = (call.from.clone(), call.from.clone());
        let ringing = RingingCall { caller, peer, number: None, since: at, video: None, group: None };
        let reason = Some("offline".to_owned());
        self.lock().remove(&call.call_id);
        Some(ringing.call_event(EventType::CALL_MISSED, &call.call_id, reason, at, directory, session))
    }

    /// The call that rings under this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<RingingCall> {
        self.lock().get(id).cloned()
    }

    /// Ends a call that this account rejected. None if the call has ended meanwhile.
    pub fn end_rejected(
        &self,
        id: &str,
        at: OffsetDateTime,
        directory: &AddressDirectory,
        session: &SessionId,
    ) -> Option<OutgoingEvent> {
        let ringing = self.lock().remove(id)?;
        let milliseconds = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let reason = Some("rejected".to_owned());
        let notice = ringing.call_event(EventType::CALL_ENDED, id, reason, milliseconds, directory, session);
        Some(OutgoingEvent::new(session, notice.kind, notice.id, at, notice.data))
    }

    /// Adds a call. False if it rings already.
    fn add(&self, id: &str, ringing: RingingCall) -> bool {
        let mut all = self.lock();
        let is_new = !all.contains_key(id);
        if is_new && all.len() == RINGING {
            let oldest = all.iter().min_by_key(|(_, ringing)| ringing.since).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(id.to_owned(), ringing);
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RingingCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event type of a call's end, as WhatsApp's own call log counts it.
fn end_event_type(reason: Option<&str>) -> EventType {
    match reason {
        None | Some("timeout" | "group_call_ended") => EventType::CALL_MISSED,
        // The call was accepted or rejected on another device, or the other side gave up with a reason.
        Some(_) => EventType::CALL_ENDED,
    }
}

impl RingingCall {
    /// Whether the caller has this address.
    #[must_use]
    pub fn is_from(&self, address: &ChatJid, directory: &AddressDirectory) -> bool {
        let party = self.add_number(directory).known_addresses(&self.caller);
        [Some(party.jid), party.pn, party.lid].contains(&Some(address.clone()))
    }

    fn add_number(&self, directory: &AddressDirectory) -> AddressDirectory {
        let mut directory = directory.clone();
        if let Some(number) = &self.number {
            directory.add_pair(&self.caller, number);
        }
        directory
    }

    fn call_event(
        &self,
        kind: EventType,
        id: &str,
        reason: Option<String>,
        timestamp: i64,
        directory: &AddressDirectory,
        session: &SessionId,
    ) -> NoticeEvent {
        let directory = self.add_number(directory);
        let place = EventSource { chat: &self.caller, author: &self.caller, from_me: directory.is_own(&self.caller) };
        let origin = place.event_origin(&directory, session, &kind, (id, ""));
        let event_id = origin.event_id.clone();
        let (video, group) = (self.video, self.group.clone());
        NoticeEvent::new(kind, event_id, CallEvent { call_id: id.to_owned(), video, group, reason, timestamp, origin })
    }
}
