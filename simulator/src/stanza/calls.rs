//! Calls: a phone's signals to the companions of whom it calls, and a companion's answers. No sound goes anywhere.
//! Promises that a companion that takes or turns a call down ends it on the account's other companions.

use anyhow::Result;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::node::{attribute, jid};
use crate::{
    groups,
    offline_queue::StanzaClass,
    people::{CallSignal, CallState},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// A signal of a simulated phone.
pub struct OutgoingCall<'a> {
    pub id: &'a str,
    pub signal: CallSignal,
    pub video: bool,
    /// Why it ends.
    pub reason: Option<&'a str>,
    /// The group that is called, without its server.
    pub group: Option<&'a str>,
    /// The companions are told of a call in the group instead of being called.
    pub is_notice: bool,
    /// The companions do not learn the caller's number.
    pub hides_number: bool,
    pub platform: &'a str,
    pub version: &'a str,
}

impl ServerState {
    /// A call from `number` rings, or ends, at every companion of these accounts.
    pub fn call(&mut self, number: &PhoneNumber, called: &[PhoneNumber], call: &OutgoingCall<'_>) -> Result<()> {
        let hides_number = call.hides_number || self.people.meet(number)?.hides_number;
        let action = match call.signal {
            CallSignal::Offer if call.is_notice => offer_notice(call),
            CallSignal::Offer => offer(number, call, hides_number),
            CallSignal::Terminate => NodeBuilder::new("terminate"),
            CallSignal::Reject => NodeBuilder::new("reject"),
            // The called account's phone takes the call, which its companions see as an end.
            CallSignal::Accept => NodeBuilder::new("terminate").attr("reason", "accepted_elsewhere"),
        };
        let action = action.attr("call-id", call.id).attr("call-creator", number.lid_jid(0));
        let action = match (call.reason, call.signal) {
            (Some(reason), CallSignal::Terminate | CallSignal::Reject) => action.attr("reason", reason),
            _ => action,
        };
        let action = match call.group {
            Some(group) => action.attr("group-jid", groups::jid_of(group)),
            None => action,
        };
        let action = action.build();
        for to in called {
            self.people.meet(number)?.calls.note(call.id, to, call.signal);
            for device in self.devices_of(to) {
                let stanza = self.fresh_id("C");
                let node = self
                    .around_call(number, &stanza)
                    .attr("platform", call.platform)
                    .attr("version", call.version)
                    .children([action.clone()])
                    .build();
                self.tell(to, device, StanzaClass::Call, &stanza, number.as_str(), node)?;
            }
        }
        Ok(())
    }

    fn around_call(&self, caller: &PhoneNumber, stanza: &str) -> NodeBuilder {
        let name = self.people.get(caller).map(|person| person.push_name.clone()).unwrap_or_default();
        NodeBuilder::new("call")
            .attr("from", caller.lid_jid(0))
            .attr("id", stanza)
            .attr("notify", name)
            .attr("t", self.now().to_string())
    }

    /// A companion's signal of a call that rings: it takes it, or turns it down.
    pub(super) fn on_call(&mut self, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let answers = [
            ("reject", CallState::Rejected, "rejected_elsewhere"),
            ("accept", CallState::Accepted, "accepted_elsewhere"),
        ];
        let answer =
            answers.iter().find_map(|(tag, state, reason)| Some((stanza.get_optional_child(tag)?, *state, *reason)));
        let Some((answer, state, reason)) = answer else { return };
        let caller = jid(stanza, "to").and_then(|to| self.people.number_of(&to));
        let (Some(caller), Some(id)) = (caller, attribute(answer, "call-id")) else { return };
        let Some(person) = self.people.get_mut(&caller) else { return };
        if !person.calls.answer(&id, number, state) {
            return;
        }
        let terminate = NodeBuilder::new("terminate")
            .attr("call-id", id)
            .attr("call-creator", caller.lid_jid(0))
            .attr("reason", reason)
            .build();
        for other in self.devices_of(number).into_iter().filter(|other| *other != device) {
            let stanza = self.fresh_id("C");
            let node = self.around_call(&caller, &stanza).children([terminate.clone()]).build();
            if let Err(error) = self.tell(number, other, StanzaClass::Call, &stanza, caller.as_str(), node) {
                tracing::warn!("{number} device {other} is not told of a call's end: {error:#}");
            }
        }
    }
}

fn offer(number: &PhoneNumber, call: &OutgoingCall<'_>, hides_number: bool) -> NodeBuilder {
    let audio = NodeBuilder::new("audio").attr("enc", "opus").attr("rate", "16000").build();
    let video: Option<Node> = call.video.then(|| NodeBuilder::new("video").build());
    let offer = NodeBuilder::new("offer").children(std::iter::once(audio).chain(video));
    if hides_number { offer } else { offer.attr("caller_pn", number.jid(0)) }
}

fn offer_notice(call: &OutgoingCall<'_>) -> NodeBuilder {
    let kind = if call.group.is_some() { "group" } else { "direct" };
    NodeBuilder::new("offer_notice").attr("media", if call.video { "video" } else { "audio" }).attr("type", kind)
}
