//! The requests of a group that hold a text of the user: its subject, its description, the code of an invitation.
//!
//! The library's own would send some of them as addresses; see [`PlainText`].

use crate::plain_text::{PlainText, looks_like_address};
use wacore::iq::groups::{
    AcceptGroupInviteIq, GetGroupInviteInfoIq, GroupCreateIq, SetGroupDescriptionIq, SetGroupSubjectIq,
    normalize_participants,
};
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{
        GroupCreateOptions, GroupDescription, GroupError, GroupMetadata, GroupSubject, JoinGroupResult,
        PreviousDescription,
    },
    request::IqError,
};

/// WhatsApp's number for a description that somebody else has changed.
const CHANGED_MEANWHILE: u16 = 409;

/// Makes a group.
///
/// # Errors
/// If WhatsApp refuses, or a member's number is unknown.
pub async fn create(client: &Client, mut options: GroupCreateOptions) -> Result<GroupMetadata, GroupError> {
    if !looks_like_address(&options.subject) {
        return Ok(client.groups().create_group(options).await?.metadata);
    }
    let mut members = Vec::with_capacity(options.participants.len());
    for member in options.participants {
        if !member.jid.is_lid() || member.phone_number.is_some() {
            members.push(member);
            continue;
        }
        let known = client.get_lid_pn_entry(&member.jid).await?;
        let number = known.ok_or_else(|| GroupError::InvalidRequest("a member's number is unknown".to_owned()))?;
        members.push(member.with_phone_number(Jid::pn(&*number.phone_number)));
    }
    options.participants = normalize_participants(&members);
    Ok(client.execute(PlainText(GroupCreateIq::new(options))).await?.into())
}

/// Changes a group's subject.
///
/// # Errors
/// If WhatsApp refuses.
pub async fn set_subject(client: &Client, group: &Jid, subject: GroupSubject) -> Result<(), GroupError> {
    Ok(client.execute(PlainText(SetGroupSubjectIq::new(group, subject))).await?)
}

/// Changes a group's description, or removes it.
///
/// # Errors
/// If WhatsApp refuses, or somebody else changes it at the same moment.
pub async fn set_description(
    client: &Client,
    group: &Jid,
    description: Option<GroupDescription>,
) -> Result<(), GroupError> {
    if !description.as_ref().is_some_and(|description| looks_like_address(description.as_str())) {
        return client.groups().set_description(group, description, PreviousDescription::Resolve).await;
    }
    let previous = client.groups().get_metadata(group).await?.description_id;
    let request = SetGroupDescriptionIq::new(group, description, previous.as_deref());
    client.execute(PlainText(request)).await.map_err(|error| match error {
        IqError::ServerError { code: CHANGED_MEANWHILE, .. } => GroupError::DescriptionConflict,
        error => error.into(),
    })
}

/// Accepts an invitation, given by its code or its link.
///
/// # Errors
/// If WhatsApp refuses.
pub async fn join(client: &Client, code: &str) -> Result<JoinGroupResult, GroupError> {
    if !looks_like_address(code) {
        return client.groups().join_with_invite_code(code).await;
    }
    Ok(client.execute(PlainText(AcceptGroupInviteIq::new(code))).await?)
}

/// The group that an invitation leads to.
///
/// # Errors
/// If WhatsApp refuses.
pub async fn invited_to(client: &Client, code: &str) -> Result<Jid, GroupError> {
    if !looks_like_address(code) {
        return Ok(client.groups().get_invite_info(code).await?.id);
    }
    let group = client.execute(PlainText(GetGroupInviteInfoIq::new(code))).await?;
    Ok(GroupMetadata::from(group).id)
}
