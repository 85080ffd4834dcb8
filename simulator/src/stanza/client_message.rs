//! A client's message, taken apart and checked. Promises that what WhatsApp refuses is refused here with 400: nothing
//! encrypted in it, participants of two namespaces, a session that begins without the proof whose device it is.

use std::collections::HashMap;

use wacore_binary::{Jid, Node, NodeRef, Server};

use super::{
    inbound::EncryptedPart,
    node::{attribute, jid},
};
use crate::{phone_number::PhoneNumber, state::ServerState};

/// The number of the refusal.
const MALFORMED: u16 = 400;

/// The kinds of ciphertext that there are.
const CIPHERTEXTS: [&str; 4] = ["pkmsg", "msg", "skmsg", "msmsg"];

/// One message of a companion, taken apart.
pub(super) struct ClientMessage {
    pub id: String,
    pub to: Jid,
    /// By device: what was encrypted for it alone.
    pub personal: HashMap<(PhoneNumber, u16), Vec<EncryptedPart>>,
    /// Encrypted once for the whole group.
    pub shared: Option<EncryptedPart>,
    /// Nodes besides the ciphertexts that companions get, too.
    pub extras: Vec<Node>,
    /// Participants without a ciphertext are named as well: it is the whole audience.
    pub names_everybody: bool,
    /// The participants are named by LID.
    pub names_lids: bool,
    /// It has a list of participants, so it is for all their devices.
    pub has_participants: bool,
    /// The participants are named by number.
    pub names_numbers: bool,
    /// The client's hash over the devices that it knows.
    pub hash: Option<String>,
    pub stanza_type: String,
    pub edit: Option<String>,
    /// It is for one other device of the same account, and belongs to no chat.
    pub is_peer: bool,
}

/// One of the two namespaces of people's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Number,
    Lid,
}

impl Namespace {
    /// None for what is no person.
    fn of(jid: &Jid) -> Option<Self> {
        if jid.server.is_pn_family() { Some(Self::Number) } else { jid.server.is_lid_family().then_some(Self::Lid) }
    }
}

impl ServerState {
    /// The error is the number of the nack.
    pub(super) fn take_apart(&self, stanza: &NodeRef<'_>) -> Result<ClientMessage, u16> {
        let id = attribute(stanza, "id").filter(|id| !id.is_empty()).ok_or(MALFORMED)?;
        let to = jid(stanza, "to").ok_or(MALFORMED)?;
        let list = stanza.get_optional_child("participants");
        let participants = list.and_then(|participants| participants.children()).unwrap_or_default();
        let addresses: Vec<Jid> = participants
            .iter()
            .map(|participant| jid(participant, "jid").ok_or(MALFORMED))
            .collect::<Result<_, _>>()?;
        check_namespaces(&to, &addresses)?;
        let mut personal: HashMap<(PhoneNumber, u16), Vec<EncryptedPart>> = HashMap::new();
        for (participant, at) in participants.iter().zip(&addresses) {
            let encs = participant.children().unwrap_or_default();
            let parts: Vec<EncryptedPart> =
                encs.iter().filter_map(|node| enc(node).transpose()).collect::<Result<_, _>>()?;
            if let Some(number) = self.number_behind(at) {
                personal.entry((number, at.device)).or_default().extend(parts);
            }
        }
        let names_everybody = personal.values().any(Vec::is_empty);
        let mut shared = None;
        // A resend is addressed to one device, without participants around it.
        let only = jid(stanza, "participant").unwrap_or_else(|| to.clone());
        for child in stanza.children().unwrap_or_default() {
            let Some(enc) = enc(child)? else { continue };
            if enc.kind == "skmsg" {
                shared = Some(enc);
            } else if let Some(number) = self.number_behind(&only) {
                personal.entry((number, only.device)).or_default().push(enc);
            }
        }
        check_ciphertexts(stanza, &to, participants)?;
        let extras = ["device-identity", "reporting", "meta"]
            .iter()
            .filter_map(|name| stanza.get_optional_child(name))
            .map(NodeRef::to_owned)
            .collect();
        Ok(ClientMessage {
            id,
            names_lids: addresses.iter().any(|jid| Namespace::of(jid) == Some(Namespace::Lid)),
            names_numbers: addresses.iter().any(|jid| Namespace::of(jid) == Some(Namespace::Number)),
            to,
            personal,
            shared,
            extras,
            names_everybody,
            has_participants: list.is_some(),
            hash: attribute(stanza, "phash"),
            stanza_type: attribute(stanza, "type").unwrap_or_else(|| "text".to_owned()),
            edit: attribute(stanza, "edit"),
            is_peer: attribute(stanza, "category").as_deref() == Some("peer"),
        })
    }
}

/// All participants are named in one way; those of a chat in the way in which the chat is named.
fn check_namespaces(to: &Jid, addresses: &[Jid]) -> Result<(), u16> {
    let mut named = addresses.iter().chain(std::iter::once(to)).filter_map(Namespace::of);
    let first = named.next();
    if named.all(|namespace| Some(namespace) == first) { Ok(()) } else { Err(MALFORMED) }
}

/// Something is encrypted in it, unless it goes to a channel, which is public. Who cannot have a session with the sending
/// device yet is told whose device it is.
fn check_ciphertexts<'n>(stanza: &NodeRef<'n>, to: &Jid, participants: &[NodeRef<'n>]) -> Result<(), u16> {
    if to.server == Server::Newsletter {
        return Ok(());
    }
    let direct = stanza.children().unwrap_or_default().iter();
    let inside = participants.iter().flat_map(|participant| participant.children().unwrap_or_default());
    let kinds: Vec<String> = direct
        .chain(inside)
        .filter(|node| node.tag == "enc")
        .map(|node| attribute(node, "type").unwrap_or_default())
        .collect();
    let begins_session = kinds.iter().any(|kind| kind == "pkmsg");
    let is_proved = stanza.get_optional_child("device-identity").is_some();
    if kinds.is_empty() || (begins_session && !is_proved) { Err(MALFORMED) } else { Ok(()) }
}

/// None if the node is no `<enc>`.
fn enc(node: &NodeRef<'_>) -> Result<Option<EncryptedPart>, u16> {
    if node.tag != "enc" {
        return Ok(None);
    }
    let kind = attribute(node, "type").filter(|kind| CIPHERTEXTS.contains(&kind.as_str())).ok_or(MALFORMED)?;
    let bytes = node.content_bytes().filter(|bytes| !bytes.is_empty()).ok_or(MALFORMED)?.to_vec();
    Ok(Some(EncryptedPart { kind, bytes, node: node.to_owned() }))
}
