//! Prekeys: upload, digest, count, bundles, and asking for more before they run out.

use wacore::{
    iq::prekeys::{OneTimePreKeyNode, PreKeyBundleUserNode, SignedPreKeyNode},
    prekeys::compute_key_bundle_digest,
    protocol::ProtocolNode as _,
};
use wacore_binary::{Jid, NodeRef, builder::NodeBuilder};

use super::{
    iq::IqReply,
    node::{attribute, child_bytes, jid},
};
use crate::{
    offline_queue::{QueueEntry, StanzaClass},
    phone_number::PhoneNumber,
    signal::big_endian,
    state::ServerState,
};

/// WhatsApp asks for more one-time prekeys when fewer than so many are left.
const LOW: usize = 5;

/// A client uploads 812 at once; more than this many are not kept.
const MAX_ONE_TIME_PREKEYS: usize = 10_000;

impl ServerState {
    pub(super) fn store_prekeys(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let mut prekeys = Vec::new();
        let list = iq.get_optional_child("list");
        for key in list.and_then(|list| list.children()).unwrap_or_default() {
            let (Some(id), Some(value)) = (child_bytes(key, "id"), child_bytes(key, "value")) else {
                return IqReply::refused(406, "not-acceptable");
            };
            prekeys.push((big_endian(&id), value));
        }
        let Some(companion) = self.people.companion_mut(number, device) else {
            return IqReply::refused(404, "item-not-found");
        };
        if companion.one_time_prekeys.len() + prekeys.len() > MAX_ONE_TIME_PREKEYS {
            return IqReply::refused(406, "not-acceptable");
        }
        if let Some(id) = child_bytes(iq, "registration") {
            companion.keys.registration_id = big_endian(&id);
        }
        companion.asked_for_prekeys = false;
        companion.one_time_prekeys.extend(prekeys);
        if let Some(signed) = iq.get_optional_child("skey") {
            store_signed(companion, signed);
        }
        self.statistics.prekey_uploads += 1;
        self.dirty = true;
        IqReply::empty()
    }

    pub(super) fn rotate_signed_prekey(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let signed = iq.get_optional_child("rotate").and_then(|rotate| rotate.get_optional_child("skey"));
        match (self.people.companion_mut(number, device), signed) {
            (Some(companion), Some(signed)) => {
                store_signed(companion, signed);
                self.dirty = true;
                IqReply::empty()
            }
            _ => IqReply::refused(406, "not-acceptable"),
        }
    }

    pub(super) fn prekey_count(&self, number: &PhoneNumber, device: u16) -> IqReply {
        let count = self.people.companion(number, device).map_or(0, |companion| companion.one_time_prekeys.len());
        IqReply::one(NodeBuilder::new("count").attr("value", count.to_string()).build())
    }

    /// What the server holds, for the client to compare.
    pub(super) fn key_digest(&self, number: &PhoneNumber, device: u16) -> IqReply {
        let Some(companion) = self.people.companion(number, device) else {
            return IqReply::refused(404, "item-not-found");
        };
        if companion.one_time_prekeys.is_empty() {
            return IqReply::refused(404, "item-not-found");
        }
        let keys = &companion.keys;
        let publics: Vec<&[u8]> = companion.one_time_prekeys.iter().map(|(_, key)| key.as_slice()).collect();
        let hash =
            compute_key_bundle_digest(&keys.identity, &keys.signed_prekey, &keys.signed_prekey_signature, &publics);
        let ids = companion
            .one_time_prekeys
            .iter()
            .map(|(id, _)| NodeBuilder::new("id").bytes(id.to_be_bytes()[1..].to_vec()).build());
        let leaf = |tag, bytes: Vec<u8>| NodeBuilder::new(tag).bytes(bytes).build();
        IqReply::one(
            NodeBuilder::new("digest")
                .children([
                    leaf("registration", keys.registration_id.to_be_bytes().to_vec()),
                    leaf("type", vec![5]),
                    leaf("identity", keys.identity.clone()),
                    SignedPreKeyNode::new(
                        keys.signed_prekey_id,
                        keys.signed_prekey.clone(),
                        keys.signed_prekey_signature.clone(),
                    )
                    .into_node(),
                    NodeBuilder::new("list").children(ids).build(),
                    leaf("hash", hash),
                ])
                .build(),
        )
    }

    /// Key bundles of the devices asked for, phones and companions alike.
    pub(super) fn hand_out_bundles(&mut self, iq: &NodeRef<'_>) -> IqReply {
        let asked: Vec<Jid> = iq
            .get_optional_child("key")
            .and_then(|key| key.children())
            .unwrap_or_default()
            .iter()
            .filter_map(|user| jid(user, "jid"))
            .collect();
        let mut users = Vec::with_capacity(asked.len());
        for jid in asked {
            users.push(match self.bundle_of(&jid) {
                Ok(bundle) => bundle.into_node(),
                Err(error) => {
                    tracing::debug!("no bundle of {jid}: {error:#}");
                    NodeBuilder::new("user")
                        .attr("jid", jid)
                        .children([super::node::error(406, "not-acceptable")])
                        .build()
                }
            });
        }
        IqReply::one(NodeBuilder::new("list").children(users).build())
    }

    fn bundle_of(&mut self, jid: &Jid) -> anyhow::Result<PreKeyBundleUserNode> {
        let number = self.people.number_of(jid).ok_or_else(|| anyhow::anyhow!("nobody has this address"))?;
        let person = self.people.meet(&number)?;
        anyhow::ensure!(person.registered, "{number} is not on WhatsApp");
        self.dirty = true;
        if jid.device == 0 {
            let bundle = person.phone.publish_bundle()?;
            return PreKeyBundleUserNode::from_bundle(jid.clone(), &bundle, None);
        }
        let companion = person
            .companions
            .get_mut(&jid.device)
            .ok_or_else(|| anyhow::anyhow!("{number} has no device {}", jid.device))?;
        let bundle = companion.take_bundle()?;
        let identity = companion.signed_identity.clone();
        self.ask_for_prekeys(&number, jid.device);
        PreKeyBundleUserNode::from_bundle(jid.clone(), &bundle, Some(identity))
    }

    /// Tells a companion whose one-time prekeys run low, once until it uploads.
    pub(super) fn ask_for_prekeys(&mut self, number: &PhoneNumber, device: u16) {
        let Some(companion) = self.people.companion_mut(number, device) else {
            return;
        };
        let left = companion.one_time_prekeys.len();
        if left >= LOW || companion.asked_for_prekeys {
            return;
        }
        companion.asked_for_prekeys = true;
        let id = self.fresh_id("N");
        let node = NodeBuilder::new("notification")
            .attr("type", "encrypt")
            .attr("from", "s.whatsapp.net")
            .attr("id", id.as_str())
            .attr("t", self.now().to_string())
            .children([NodeBuilder::new("count").attr("value", left.to_string()).build()])
            .build();
        let entry =
            QueueEntry { class: StanzaClass::Notification, id, chat: String::new(), node, record: None, written: 0 };
        if let Err(error) = self.enqueue(number, device, entry) {
            tracing::warn!("cannot ask {number} device {device} for prekeys: {error:#}");
        }
    }
}

fn store_signed(companion: &mut crate::people::CompanionDevice, signed: &NodeRef<'_>) {
    if let (Some(id), Some(value), Some(signature)) =
        (child_bytes(signed, "id"), child_bytes(signed, "value"), child_bytes(signed, "signature"))
    {
        companion.keys.signed_prekey_id = big_endian(&id);
        companion.keys.signed_prekey = value;
        companion.keys.signed_prekey_signature = signature;
    }
}

/// The key bundle inside a retry receipt, if the client put one in: raw parts for a session.
pub(super) struct RetryKeys {
    pub identity: Vec<u8>,
    pub one_time: Option<(u32, Vec<u8>)>,
    pub signed: SignedPreKeyNode,
}

impl RetryKeys {
    pub(super) fn from_receipt(receipt: &NodeRef<'_>) -> Option<Self> {
        let keys = receipt.get_optional_child("keys")?;
        Some(Self {
            identity: child_bytes(keys, "identity")?,
            one_time: keys
                .get_optional_child("key")
                .and_then(|key| OneTimePreKeyNode::try_from_node_ref(key).ok())
                .map(|key| (key.id, key.public_bytes)),
            signed: SignedPreKeyNode::try_from_node_ref(keys.get_optional_child("skey")?).ok()?,
        })
    }
}

/// How often a stanza says this is its repetition (`<retry count>`).
pub(super) fn retry_count(receipt: &NodeRef<'_>) -> u8 {
    receipt
        .get_optional_child("retry")
        .and_then(|retry| attribute(retry, "count"))
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
}
