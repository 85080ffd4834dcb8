//! `call.received`, `call.missed`, `call.ended`: a call rings until it is taken on another device, given up or refused.
//!
//! Only the signals are heard; Kurir takes no calls. What rings is remembered, so that an end is told of once.

use super::Notice;
use crate::inbound::{
    addresses::{Directory, chat_jid},
    mapping::Place,
};
use kurir_contract::{
    address::ChatJid,
    event::{Call, EventType},
    session::SessionId,
};
use std::collections::HashMap;
use wacore::types::call::{CallAction, IncomingCall, MissedCall};
use wacore_binary::Jid;

/// Calls that ring at once; a phone's worth is one. Beyond it the ends of the newest are not told of.
const RINGING: usize = 256;

/// The calls that ring.
#[derive(Default)]
pub struct Calls(HashMap<String, Ringing>);

struct Ringing {
    caller: Jid,
    video: bool,
    group: Option<ChatJid>,
}

impl Calls {
    /// What a signal of a call means.
    pub fn heard(&mut self, call: &IncomingCall, directory: &Directory, session: &SessionId) -> Option<Notice> {
        let at = call.timestamp.timestamp_millis();
        let id = call.action.call_id();
        match &call.action {
            CallAction::Offer { caller_pn, is_video, group_jid, call_creator, .. } => {
                let mut directory = directory.clone();
                if let Some(number) = caller_pn {
                    directory.learn(call_creator, number);
                }
                let group = group_jid.as_ref().map(chat_jid);
                let ringing = Ringing { caller: call_creator.clone(), video: *is_video, group };
                let notice = ringing.notice(EventType::CALL_RECEIVED, id, None, at, &directory, session);
                self.rings(id, ringing).then_some(notice)
            }
            CallAction::OfferNotice { call_creator, is_video, is_group, .. } => {
                let group = is_group.then(|| chat_jid(&call.from));
                let ringing = Ringing { caller: call_creator.clone(), video: *is_video, group };
                let notice = ringing.notice(EventType::CALL_RECEIVED, id, None, at, directory, session);
                self.rings(id, ringing).then_some(notice)
            }
            CallAction::Terminate { reason, .. } => {
                let ringing = self.0.remove(id)?;
                let kind = end_of(reason.as_deref());
                Some(ringing.notice(kind, id, reason.clone(), at, directory, session))
            }
            CallAction::Reject { reason, .. } if reason.as_deref() != Some("busy") => {
                let ringing = self.0.remove(id)?;
                let reason = Some("rejected".to_owned());
                Some(ringing.notice(EventType::CALL_ENDED, id, reason, at, directory, session))
            }
            // How devices agree on sound and picture.
            _ => None,
        }
    }

    /// Nobody was there when it rang.
    pub fn missed(&mut self, call: &MissedCall, directory: &Directory, session: &SessionId) -> Option<Notice> {
        let at = call.timestamp.timestamp_millis();
        let ringing = Ringing { caller: call.from.clone(), video: false, group: None };
        let reason = Some("offline".to_owned());
        self.0.remove(&call.call_id);
        Some(ringing.notice(EventType::CALL_MISSED, &call.call_id, reason, at, directory, session))
    }

    /// False if it does already.
    fn rings(&mut self, id: &str, ringing: Ringing) -> bool {
        let is_new = !self.0.contains_key(id);
        if self.0.len() < RINGING {
            self.0.insert(id.to_owned(), ringing);
        }
        is_new
    }
}

/// As WhatsApp's own call log counts it.
fn end_of(reason: Option<&str>) -> EventType {
    match reason {
        None | Some("timeout" | "group_call_ended") => EventType::CALL_MISSED,
        // Taken or refused on another device, or given up by the other side with a reason.
        Some(_) => EventType::CALL_ENDED,
    }
}

impl Ringing {
    fn notice(
        &self,
        kind: EventType,
        id: &str,
        reason: Option<String>,
        timestamp: i64,
        directory: &Directory,
        session: &SessionId,
    ) -> Notice {
        let place = Place { chat: &self.caller, author: &self.caller, from_me: directory.is_own(&self.caller) };
        let origin = place.origin(directory, session, &kind, (id, ""));
        let event_id = origin.event_id.clone();
        let (video, group) = (self.video, self.group.clone());
        Notice::new(kind, event_id, Call { call_id: id.to_owned(), video, group, reason, timestamp, origin })
    }
}
