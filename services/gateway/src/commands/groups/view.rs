//! A group in the form of the API: each member with both addresses.

use crate::inbound::{
    addresses::{self, AddressDirectory, chat_jid},
    learned_pairs::{JidPair, learn_pairs},
};
use kurir_contract::{
    address::ChatJid,
    clock,
    command::group::{GroupDetails, GroupMember, GroupRole, GroupSummary, MOST_MEMBERS_SHOWN},
    event::KnownAddresses,
};
use time::OffsetDateTime;
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{GroupMetadata, GroupParticipant, ParticipantType},
};

pub async fn group_details(client: &Client, group: &GroupMetadata) -> GroupDetails {
    let pairs: Vec<_> = group.participants.iter().take(MOST_MEMBERS_SHOWN).filter_map(member_pair).collect();
    learn_pairs(client, &pairs).await;
    let mut participants = Vec::with_capacity(group.participants.len().min(MOST_MEMBERS_SHOWN));
    for member in group.participants.iter().take(MOST_MEMBERS_SHOWN) {
        let KnownAddresses { jid, pn, lid } = member_addresses(client, member).await;
        participants.push(GroupMember { jid, pn, lid, admin: group_role(&member.participant_type) });
    }
    let GroupSummary { id, subject, owner, created_at, announcement, locked, size } =
        group_summary(client, group).await;
    let description = group.description.clone();
    GroupDetails { id, subject, description, owner, created_at, announcement, locked, size, participants }
}

pub async fn group_summary(client: &Client, group: &GroupMetadata) -> GroupSummary {
    let owner = match &group.creator {
        Some(creator) => Some(resolve_addresses(client, creator, group.creator_pn.as_ref()).await.jid),
        None => None,
    };
    GroupSummary {
        id: chat_jid(&group.id),
        subject: group.subject.clone(),
        owner,
        created_at: group.creation_time.and_then(iso_time),
        announcement: group.is_announcement,
        locked: group.is_locked,
        size: group.participants.len().max(group.size.unwrap_or_default() as usize),
    }
}

fn member_pair(member: &GroupParticipant) -> Option<JidPair> {
    let other = member.phone_number.as_ref().or(member.lid.as_ref())?;
    Some((member.jid.clone(), other.clone()))
}

pub async fn member_addresses(client: &Client, member: &GroupParticipant) -> KnownAddresses {
    resolve_addresses(client, &member.jid, member.phone_number.as_ref().or(member.lid.as_ref())).await
}

/// The two addresses as WhatsApp gave them, else as the client's store knows them.
pub async fn resolve_addresses(client: &Client, jid: &Jid, other: Option<&Jid>) -> KnownAddresses {
    let Some(other) = other else { return addresses::resolve_address(client, jid).await };
    let mut directory = AddressDirectory::default();
    directory.add_pair(jid, other);
    directory.known_addresses(jid)
}

/// Whether the person has this address.
pub fn has_address(party: &KnownAddresses, address: &ChatJid) -> bool {
    party.jid == *address || party.pn.as_ref() == Some(address) || party.lid.as_ref() == Some(address)
}

fn group_role(kind: &ParticipantType) -> Option<GroupRole> {
    match kind {
        ParticipantType::Member => None,
        ParticipantType::Admin => Some(GroupRole::Admin),
        ParticipantType::SuperAdmin => Some(GroupRole::Superadmin),
    }
}

fn iso_time(seconds: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok().map(clock::iso)
}
