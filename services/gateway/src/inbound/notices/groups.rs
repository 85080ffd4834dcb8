//! `group.updated` and `group.participants`. Pure.

use super::notice_event::NoticeEvent;
use crate::inbound::{addresses::AddressDirectory, mapping::EventSource};
use kurir_contract::{
    event::{EventOrigin, EventType, GroupChange, GroupParticipants, GroupUpdated, ParticipantAction},
    session::SessionId,
};
use wacore::{
    stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo},
    types::events::GroupUpdate,
};
use wacore_binary::Jid;

/// The participants in an update and its author. They are looked up.
pub fn referenced_people(update: &GroupUpdate) -> Vec<Jid> {
    let members = participant_change(&update.action).map(|(_, members, _)| members).unwrap_or_default();
    members.iter().map(|member| member.jid.clone()).chain(update.participant.clone()).collect()
}

/// The event of one change of a group.
pub fn group_notice(update: &GroupUpdate, directory: &AddressDirectory, session: &SessionId) -> Option<NoticeEvent> {
    let mut directory = directory.clone();
    if let (Some(author), Some(number)) = (&update.participant, &update.participant_pn) {
        directory.add_pair(author, number);
    }
    let timestamp = update.timestamp.timestamp_millis();
    let Some((action, members, reason)) = participant_change(&update.action) else {
        let change = group_change(&update.action);
        let kind = EventType::GROUP_UPDATED;
        let origin = update_origin(update, &directory, session, &kind);
        return Some(NoticeEvent::new(kind, origin.event_id.clone(), GroupUpdated { change, timestamp, origin }));
    };
    for member in members {
        for other in [&member.phone_number, &member.lid].into_iter().flatten() {
            directory.add_pair(&member.jid, other);
        }
    }
    let kind = EventType::GROUP_PARTICIPANTS;
    let origin = update_origin(update, &directory, session, &kind);
    let participants = match &update.action {
        // The notification itself names the applicant.
        Action::MembershipApprovalRequest { .. } => vec![origin.author.clone()],
        Action::RevokedMembershipRequests { participants } => {
            participants.iter().map(|jid| directory.known_addresses(jid)).collect()
        }
        _ => members.iter().map(|member| directory.known_addresses(&member.jid)).collect(),
    };
    let reason = reason.map(str::to_owned);
    let data = GroupParticipants { action, participants, reason, timestamp, origin };
    Some(NoticeEvent::new(kind, data.origin.event_id.clone(), data))
}

fn update_origin(
    update: &GroupUpdate,
    directory: &AddressDirectory,
    session: &SessionId,
    kind: &EventType,
) -> EventOrigin {
    // Without an author WhatsApp itself made the change.
    let author = update.participant.as_ref().unwrap_or(&update.group_jid);
    let place = EventSource { chat: &update.group_jid, author, from_me: directory.is_own(author) };
    // A notification that comes again has the same id.
    let id = update.notification_id.as_deref().unwrap_or_default();
    place.event_origin(directory, session, kind, (id, &update.action_index.to_string()))
}

/// The action, the members and the reason, if the update is about members.
fn participant_change(action: &Action) -> Option<(ParticipantAction, &[GroupParticipantInfo], Option<&str>)> {
    Some(match action {
        Action::Add { participants, reason } => (ParticipantAction::Add, participants, reason.as_deref()),
        Action::Remove { participants, reason } => (ParticipantAction::Remove, participants, reason.as_deref()),
        Action::Promote { participants } => (ParticipantAction::Promote, participants, None),
        Action::Demote { participants } => (ParticipantAction::Demote, participants, None),
        Action::Modify { participants } => (ParticipantAction::NumberChanged, participants, None),
        Action::CreatedMembershipRequests { requests, .. } => (ParticipantAction::JoinRequested, requests, None),
        Action::MembershipApprovalRequest { .. } => (ParticipantAction::JoinRequested, &[], None),
        Action::RevokedMembershipRequests { .. } => (ParticipantAction::JoinRequestRevoked, &[], None),
        // The remaining actions change the group itself.
        _ => return None,
    })
}

fn group_change(action: &Action) -> GroupChange {
    match action {
        Action::Subject { subject, .. } => GroupChange::Subject { subject: subject.clone() },
        Action::Description { description, .. } => GroupChange::Description { description: description.clone() },
        Action::Locked { .. } => GroupChange::Locked { locked: true },
        Action::Unlocked => GroupChange::Locked { locked: false },
        Action::Announce => GroupChange::Announcement { announcement: true },
        Action::NotAnnounce => GroupChange::Announcement { announcement: false },
        Action::Ephemeral { expiration, .. } => GroupChange::Expiration { seconds: *expiration },
        Action::MembershipApprovalMode { enabled } => GroupChange::Approval { required: *enabled },
        Action::MemberAddMode { mode } => GroupChange::MemberAddMode { mode: mode.clone() },
        Action::RevokeInvite => GroupChange::InviteRevoked {},
        Action::Create { .. } => GroupChange::Created {},
        Action::Delete { reason } => GroupChange::Deleted { reason: reason.clone() },
        other => GroupChange::Other { name: other.tag_name().to_owned() },
    }
}
