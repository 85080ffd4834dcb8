//! Privacy tokens on the wire: clients and phones give them, the other side's devices are told, and who is restricted
//! lets nobody in without one.

use wacore_binary::{Jid, Node, NodeRef, builder::NodeBuilder};

use super::{
    iq::IqReply,
    node::{attribute, child_bytes, children, jid},
};
use crate::{
    app_state::{NewSetting, SettingIndex},
    people::{PrivacyToken, SaltDelivery},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// The nack for a message to somebody restricted: the writer is a stranger.
pub(super) const NO_TOKEN: u16 = 463;

/// How far a client's clock may be ahead, in seconds.
const AHEAD: i64 = 86_400;

impl ServerState {
    /// A client gives tokens of its account to people. WhatsApp's answer is empty.
    pub(super) fn give_tokens(&mut self, number: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let Some(tokens) = iq.get_optional_child("tokens") else { return IqReply::refused(400, "bad-request") };
        let mut given = Vec::new();
        for token in children(tokens, "token") {
            let is_known = attribute(token, "type").as_deref() == Some("trusted_contact");
            let issued = attribute(token, "t").and_then(|t| t.parse().ok());
            let (Some(to), Some(issued), true) = (jid(token, "jid"), issued, is_known) else {
                return IqReply::refused(400, "bad-request");
            };
            let receiver = self.people.number_of(&to).filter(|number| self.people.get(number).is_some());
            let Some(receiver) = receiver else { return IqReply::refused(404, "item-not-found") };
            if issued > self.now() + AHEAD {
                return IqReply::refused(400, "bad-request");
            }
            given.push((receiver, issued));
        }
        for (receiver, issued) in given {
            self.give_token(number, &receiver, issued);
        }
        IqReply::empty()
    }

    /// A phone that writes to somebody gives a token, once a week.
    pub(super) fn give_token_if_due(&mut self, number: &PhoneNumber, receiver: &PhoneNumber) {
        let now = self.now();
        if number != receiver && self.people.get(number).is_some_and(|person| person.tokens.is_due(receiver, now)) {
            self.give_token(number, receiver, now);
        }
    }

    fn give_token(&mut self, number: &PhoneNumber, receiver: &PhoneNumber, issued: i64) {
        let Some(person) = self.people.get_mut(number) else { return };
        let token = person.tokens.give(receiver.clone(), issued);
        // Under the address by which the receiver writes back: some clients keep the token under it.
        let by_lid = person.hides_number || self.lid_migrated;
        let from = if by_lid { number.lid_jid(0) } else { number.jid(0) };
        let jid = if by_lid { receiver.lid_jid(0) } else { receiver.jid(0) };
        let tokens = NodeBuilder::new("tokens").children([token_node(&token, jid)]).build();
        self.dirty = true;
        for device in self.devices_of(receiver) {
            let id = self.fresh_id("N");
            let node = NodeBuilder::new("notification")
                .attr("type", "privacy_token")
                .attr("from", from.clone())
                .attr("sender_lid", number.lid_jid(0))
                .attr("id", id.as_str())
                .attr("t", self.now().to_string())
                .children([tokens.clone()])
                .build();
            self.notify_device(receiver, device, number.as_str(), id, node);
        }
    }

    /// Whether somebody shows itself to `asker`, who may have brought a token in this element.
    pub(super) fn shows_itself_to(
        &self,
        owner: &PhoneNumber,
        asker: &PhoneNumber,
        holder: Option<&NodeRef<'_>>,
    ) -> bool {
        let Some(person) = self.people.get(owner) else { return true };
        let shown = holder.and_then(|holder| child_bytes(holder, "tctoken"));
        owner == asker
            || !person.tokens.is_restricted()
            || shown.is_some_and(|shown| person.tokens.is_token_of(asker, &shown, self.now()))
    }

    /// Whether somebody takes a message of `sender`.
    pub(super) fn takes_message_of(&self, receiver: &PhoneNumber, sender: &PhoneNumber, message: &NodeRef<'_>) -> bool {
        let Some(receiver) = self.people.get(receiver) else { return true };
        if receiver.number == *sender || !receiver.tokens.is_restricted() {
            return true;
        }
        let token = child_bytes(message, "tctoken");
        if token.is_some_and(|token| receiver.tokens.opens_with_token(sender, &token, self.now())) {
            return true;
        }
        let Some(sender) = self.people.get(sender) else { return false };
        let lid = receiver.number.lid_jid(0).to_string();
        let proof = child_bytes(message, "cstoken");
        proof.is_some_and(|proof| receiver.tokens.opens_with_proof(&sender.tokens, &lid, &proof))
    }

    /// The account gets a new salt for its proofs, or loses it; its devices learn that as `delivery` says.
    pub fn change_salt(&mut self, number: &PhoneNumber, delivery: Option<SaltDelivery>) -> anyhow::Result<()> {
        let person = self.people.meet(number)?;
        let was_shared = person.tokens.salt().is_some_and(|salt| salt.delivery == SaltDelivery::AppState);
        person.tokens.set_salt(delivery);
        self.dirty = true;
        if let Some(salt) = self.salt_setting(number) {
            self.change_setting(number, &salt)?;
        } else if was_shared {
            let gone = NewSetting { is_removed: true, ..SettingIndex::NctSalt { salt: Vec::new() }.into() };
            self.change_setting(number, &gone)?;
        }
        Ok(())
    }

    /// The account's salt as a setting, if its devices learn it so.
    pub(super) fn salt_setting(&self, number: &PhoneNumber) -> Option<NewSetting> {
        let salt = self.people.get(number)?.tokens.salt()?;
        (salt.delivery == SaltDelivery::AppState).then(|| SettingIndex::NctSalt { salt: salt.bytes.clone() }.into())
    }

    /// The answer with the account's AB properties.
    pub(super) fn properties(&self, number: &PhoneNumber) -> IqReply {
        let person = self.people.get(number);
        let each = person.into_iter().flat_map(|person| person.properties.iter()).map(|(code, value)| {
            NodeBuilder::new("prop").attr("config_code", code.to_string()).attr("config_value", value).build()
        });
        let answer = NodeBuilder::new("props")
            .attr("protocol", "1")
            .attr("ab_key", "simulator")
            .attr("hash", "simulator")
            .attr("refresh", "86400")
            .attr("refresh_id", "1");
        IqReply::one(answer.children(each).build())
    }
}

fn token_node(token: &PrivacyToken, receiver: Jid) -> Node {
    NodeBuilder::new("token")
        .attr("jid", receiver)
        .attr("type", "trusted_contact")
        .attr("t", token.issued.to_string())
        .bytes(token.bytes.clone())
        .build()
}
