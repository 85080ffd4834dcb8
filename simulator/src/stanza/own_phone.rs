//! What an account's phone and the server tell companions about the account itself: the first
//! login's key share, new and removed devices, logout from the phone. The past is `history`.

use anyhow::Result;
use buffa::MessageField;
use wacore::{
    messages::MessageUtils,
    protocol::ProtocolNode as _,
    stanza::devices::{DeviceElement, KeyIndexInfo},
};
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{
    Message,
    message::{
        AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
        ProtocolMessage, protocol_message,
    },
};

use super::usync::{device_hash, key_index_list};
use crate::{
    app_state::AppStateKey,
    phone_number::PhoneNumber,
    refusals::{ConnectionEnd, StreamError},
    state::ServerState,
};

impl ServerState {
    /// What waits for a companion at its first login. Without the key share a client waits 10 s
    /// before it says that it is connected.
    pub fn greet_companion(&mut self, number: &PhoneNumber, device: u16) -> Result<()> {
        self.share_app_state_key(number, device)?;
        self.send_first_history(number, device)
    }

    /// Gives a companion the key of the account's settings, the same one for all.
    pub(super) fn share_app_state_key(&mut self, number: &PhoneNumber, device: u16) -> Result<()> {
        let key = self.app_state_of(number)?.key().clone();
        let devices = std::iter::once(0).chain(self.devices_of(number).into_iter().map(u32::from));
        let share = AppStateSyncKeyShare { keys: vec![app_state_key(&key, devices.collect())] };
        let protocol = ProtocolMessage {
            r#type: Some(protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(share),
            ..Default::default()
        };
        self.tell_companion(number, device, protocol)
    }

    /// A protocol message of the account's phone to one of its own companions.
    pub(super) fn tell_companion(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        protocol: ProtocolMessage,
    ) -> Result<()> {
        let message = Message { protocol_message: MessageField::some(protocol), ..Default::default() };
        let sealed = self.seal(number, number, device, &MessageUtils::encode_and_pad(&message))?;
        let id = self.fresh_id("3A");
        let node = NodeBuilder::new("message")
            .attr("from", number.jid(0))
            .attr("id", id.as_str())
            .attr("t", self.now().to_string())
            .attr("type", "text")
            .attr("category", "peer")
            .children([NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind).bytes(sealed.bytes).build()])
            .build();
        self.post_node(number, device, &id, number.as_str(), node, None)
    }

    /// Tells every other companion that this account has a device more or less; its own get the whole list.
    pub fn tell_of_device(&mut self, number: &PhoneNumber, device: u16, added: bool) {
        let Some(person) = self.people.get(number) else {
            return;
        };
        let hash = device_hash(person);
        let key_index = KeyIndexInfo { timestamp: self.now(), signed_bytes: added.then(|| key_index_list(person)) };
        let element = DeviceElement {
            jid: number.jid(device),
            key_index: added.then_some(u32::from(device)),
            lid: Some(number.lid_jid(device)),
        };
        let change = NodeBuilder::new(if added { "add" } else { "remove" })
            .attr("device_hash", hash.as_str())
            .children([element.into_node(), key_index.into_node()])
            .build();
        let devices = std::iter::once(0).chain(person.companions.keys().copied()).map(|at| {
            let node = NodeBuilder::new("device").attr("jid", number.jid(at));
            if at == 0 { node.build() } else { node.attr("key-index", at.to_string()).build() }
        });
        let key_index = NodeBuilder::new("key-index-list").attr("ts", "1").bytes(key_index_list(person)).build();
        let list = NodeBuilder::new("devices").attr("dhash", hash).children(devices.chain([key_index])).build();
        let others: Vec<(PhoneNumber, u16)> = self
            .people
            .accounts()
            .filter(|person| person.number != *number)
            .flat_map(|person| person.companions.keys().map(|at| (person.number.clone(), *at)))
            .collect();
        for (account, at) in others {
            let id = self.fresh_id("N");
            let node = NodeBuilder::new("notification")
                .attr("type", "devices")
                .attr("from", number.jid(0))
                .attr("lid", number.lid_jid(0))
                .attr("id", id.as_str())
                .attr("t", self.now().to_string())
                .children([change.clone()])
                .build();
            self.notify_device(&account, at, number.as_str(), id, node);
        }
        self.account_sync(number, Some(device), &list);
    }

    /// Everybody who has a chat with this person learns that its phone has new keys.
    pub fn tell_of_new_identity(&mut self, number: &PhoneNumber) {
        let accounts: Vec<PhoneNumber> =
            self.people.accounts().map(|person| person.number.clone()).filter(|account| account != number).collect();
        for account in accounts {
            if !self.has_chat(number, &account) && !self.has_chat(&account, number) {
                continue;
            }
            for device in self.devices_of(&account) {
                let id = self.fresh_id("N");
                let node = NodeBuilder::new("notification")
                    .attr("type", "encrypt")
                    .attr("from", number.jid(0))
                    .attr("lid", number.lid_jid(0))
                    .attr("id", id.as_str())
                    .attr("t", self.now().to_string())
                    .children([NodeBuilder::new("identity").build()])
                    .build();
                self.notify_device(&account, device, number.as_str(), id, node);
            }
        }
    }

    /// The phone removes a companion: a connected one is told, any other finds out at its login.
    pub fn remove_companion(&mut self, number: &PhoneNumber, device: u16) -> bool {
        let Some(companion) = self.people.companion(number, device) else {
            return false;
        };
        let connection = companion.connection;
        if let Some(connection) = connection {
            let removed = StreamError::Conflict("device_removed".to_owned());
            self.end(connection, &ConnectionEnd::StreamError(removed));
        }
        self.forget_companion(number, device);
        true
    }

    /// A companion is no more, and what waited for it neither.
    pub fn forget_companion(&mut self, number: &PhoneNumber, device: u16) {
        let Some(person) = self.people.get_mut(number) else {
            return;
        };
        if person.companions.remove(&device).is_some() {
            self.dirty = true;
            tracing::info!("{number} has no device {device} any more");
            self.tell_of_device(number, device, false);
        }
    }
}

fn app_state_key(key: &AppStateKey, device_indexes: Vec<u32>) -> AppStateSyncKey {
    AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(key.id.to_vec()) }),
        key_data: MessageField::some(AppStateSyncKeyData {
            key_data: Some(key.data.to_vec()),
            fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                // Of the phone, which made the key.
                raw_id: Some(u32::from_be_bytes([key.id[2], key.id[3], key.id[4], key.id[5]]) >> 1),
                current_index: Some(0),
                device_indexes,
            }),
            timestamp: Some(key.made * 1_000),
        }),
    }
}
