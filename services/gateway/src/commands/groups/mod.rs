//! Shows, creates, changes, joins and leaves groups. `participants` changes who is in a group, and `view` shows it.
//!
//! The gateway stores nothing about groups: it asks WhatsApp each time.

pub mod lookup;
mod participants;
mod text;
mod view;

use super::{CommandServer, whatsapp_request::RequestFailure};
use crate::inbound::addresses::chat_jid;
use kurir_contract::{
    address::ChatJid,
    command::{
        AnswerCommand, CommandError, CommandErrorCode,
        group::{
            ChangeGroup, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft, GroupPage, GroupRequest,
            InviteLink, JoinGroup, LONGEST_DESCRIPTION, LONGEST_SUBJECT, ListGroups, MOST_GROUPS,
        },
        spec,
    },
};
use lookup::{fetch_group, is_refused_with, map_group_error, parse_group};
use std::cmp::Ordering;
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{
        GroupCreateOptions, GroupDescription, GroupError, GroupMetadata, GroupParticipantOptions, GroupSubject,
        JoinGroupResult,
    },
};

/// WhatsApp's numbers for an invitation code that is wrong, was replaced, or leads to no group.
const NO_INVITE: [u16; 3] = [404, 406, 410];
/// WhatsApp's number for an account that is in the group already.
const IS_MEMBER: u16 = 409;

impl AnswerCommand<spec::ListGroups> for CommandServer {
    async fn answer(&self, request: ListGroups) -> Result<GroupPage, CommandError> {
        let ListGroups { limit, after } = request;
        if !(1..=MOST_GROUPS).contains(&limit) {
            return Err(CommandError::invalid(format!("limit must be a whole number from 1 to {MOST_GROUPS}")));
        }
        self.ask_whatsapp(|client| async move {
            let all = client.groups().get_participating().await?;
            let (page, next) = take_page(all.into_values().collect(), limit, after.as_ref());
            let mut groups = Vec::with_capacity(page.len());
            for group in &page {
                groups.push(view::group_summary(&client, group).await);
            }
            Ok(GroupPage { groups, next })
        })
        .await
    }
}

impl AnswerCommand<spec::Group> for CommandServer {
    async fn answer(&self, request: GroupRequest) -> Result<GroupDetails, CommandError> {
        let group = parse_group(&request.group)?;
        self.ask_whatsapp(|client| async move {
            Ok(view::group_details(&client, &fetch_group(&client, &group).await?).await)
        })
        .await
    }
}

impl AnswerCommand<spec::CreateGroup> for CommandServer {
    async fn answer(&self, request: CreateGroup) -> Result<GroupCreated, CommandError> {
        let CreateGroup { subject, participants } = request;
        let subject = parse_subject(&subject)?;
        let people = participants::parse_participants(&participants)?;
        self.ask_whatsapp(|client| async move {
            let options = GroupCreateOptions::new(subject.as_str())
                .with_participants(people.iter().cloned().map(GroupParticipantOptions::new).collect());
            let created = text::create(&client, options).await?;
            Ok(participants::created_group_results(&client, created, participants, &people).await)
        })
        .await
    }
}

/// If a later change is refused, the error says which changes were made.
impl AnswerCommand<spec::ChangeGroup> for CommandServer {
    async fn answer(&self, request: ChangeGroup) -> Result<GroupDetails, CommandError> {
        let ChangeGroup { group, subject, description, announcement, locked } = request;
        let group = parse_group(&group)?;
        let subject = subject.as_deref().map(parse_subject).transpose()?;
        let description = description.as_deref().map(parse_description).transpose()?;
        self.ask_whatsapp(|client| async move {
            let (groups, mut done) = (client.groups(), Vec::new());
            if let Some(subject) = subject {
                let changed = text::set_subject(&client, &group, subject).await;
                apply_change(&client, &group, "subject", changed, &mut done).await?;
            }
            if let Some(description) = description {
                let changed = text::set_description(&client, &group, description).await;
                apply_change(&client, &group, "description", changed, &mut done).await?;
            }
            if let Some(announcement) = announcement {
                let changed = groups.set_announce(&group, announcement).await;
                apply_change(&client, &group, "announcement", changed, &mut done).await?;
            }
            if let Some(locked) = locked {
                let changed = groups.set_locked(&group, locked).await;
                apply_change(&client, &group, "locked", changed, &mut done).await?;
            }
            Ok(view::group_details(&client, &fetch_group(&client, &group).await?).await)
        })
        .await
    }
}

impl AnswerCommand<spec::JoinGroup> for CommandServer {
    async fn answer(&self, request: JoinGroup) -> Result<GroupJoined, CommandError> {
        let code = request.code;
        self.ask_whatsapp(|client| async move {
            let joined = match text::join(&client, &code).await {
                Ok(joined) => joined,
                // The account is in the group already, as it wanted.
                Err(error) if is_refused_with(&error, &[IS_MEMBER]) => {
                    JoinGroupResult::Joined(text::invited_to(&client, &code).await?)
                }
                Err(error) if is_refused_with(&error, &NO_INVITE) => {
                    let text = "there is no such invitation, or its link was replaced: ask for the new one";
                    return Err(CommandError::new(CommandErrorCode::InviteNotFound, text).into());
                }
                Err(error) => return Err(error.into()),
            };
            let pending = matches!(joined, JoinGroupResult::PendingApproval(_));
            Ok(GroupJoined { id: chat_jid(joined.group_jid()), pending })
        })
        .await
    }
}

impl AnswerCommand<spec::LeaveGroup> for CommandServer {
    async fn answer(&self, request: GroupRequest) -> Result<GroupLeft, CommandError> {
        let group = parse_group(&request.group)?;
        self.ask_whatsapp(|client| async move {
            // WhatsApp answers in the same way if the account is not in the group.
            fetch_group(&client, &group).await?;
            client.groups().leave(&group).await?;
            Ok(GroupLeft {})
        })
        .await
    }
}

impl AnswerCommand<spec::GroupInvite> for CommandServer {
    async fn answer(&self, request: GroupRequest) -> Result<InviteLink, CommandError> {
        self.invite_link(&request.group, false).await
    }
}

impl AnswerCommand<spec::RevokeGroupInvite> for CommandServer {
    async fn answer(&self, request: GroupRequest) -> Result<InviteLink, CommandError> {
        self.invite_link(&request.group, true).await
    }
}

impl CommandServer {
    /// The invitation link: the current one, or a new one.
    async fn invite_link(&self, group: &ChatJid, is_reset: bool) -> Result<InviteLink, CommandError> {
        let group = parse_group(group)?;
        self.ask_whatsapp(|client| async move {
            let link = client.groups().get_invite_link(&group, is_reset).await;
            let link = map_group_error(&client, &group, link).await?;
            let code = link.rsplit('/').next().unwrap_or_default().to_owned();
            Ok(InviteLink { link, code })
        })
        .await
    }
}

/// Makes one of several changes. `done` are the changes before it.
async fn apply_change(
    client: &Client,
    group: &Jid,
    what: &'static str,
    changed: Result<(), GroupError>,
    done: &mut Vec<&'static str>,
) -> Result<(), RequestFailure> {
    if let Err(failure) = map_group_error(client, group, changed).await {
        let refusal = failure.into_command_error();
        let message = match done.as_slice() {
            [] => format!("{what} was not changed: {}", refusal.message),
            done => format!("{what} was not changed, {} was: {}", done.join(" and "), refusal.message),
        };
        return Err(CommandError { message, ..refusal }.into());
    }
    done.push(what);
    Ok(())
}

/// The groups after `after` in the order of their ids, and where the next page starts.
fn take_page(
    mut all: Vec<GroupMetadata>,
    limit: usize,
    after: Option<&ChatJid>,
) -> (Vec<GroupMetadata>, Option<ChatJid>) {
    let id = |group: &GroupMetadata| chat_jid(&group.id);
    all.retain(|group| after.is_none_or(|after| id(group).cmp(after) == Ordering::Greater));
    all.sort_by_cached_key(id);
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().map(id).filter(|_| has_more);
    (all, next)
}

fn parse_subject(subject: &str) -> Result<GroupSubject, CommandError> {
    let subject = Some(subject.trim()).filter(|subject| !subject.is_empty());
    subject
        .and_then(|subject| GroupSubject::new(subject).ok())
        .ok_or_else(|| CommandError::invalid(format!("a subject has 1 to {LONGEST_SUBJECT} characters")))
}

/// An empty description removes it.
fn parse_description(description: &str) -> Result<Option<GroupDescription>, CommandError> {
    let description = Some(description.trim()).filter(|description| !description.is_empty());
    description
        .map(GroupDescription::new)
        .transpose()
        .map_err(|_| CommandError::invalid(format!("a description has at most {LONGEST_DESCRIPTION} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_behind_the_last_one_and_misses_nobody() {
        let all = || (10..35).rev().map(|n| GroupMetadata { id: Jid::group(n.to_string()), ..Default::default() });
        let (mut seen, mut after) = (Vec::new(), None);
        for size in [10, 10, 5] {
            let (groups, next) = take_page(all().collect(), 10, after.as_ref());
            assert_eq!((groups.len(), next.is_some()), (size, size == 10));
            seen.extend(groups.iter().map(|group| group.id.user.to_string()));
            after = next;
        }
        assert_eq!(seen, (10..35).map(|n| n.to_string()).collect::<Vec<_>>());
        let (exact, next) = take_page(all().collect(), 25, None);
        assert_eq!((exact.len(), next), (25, None));
    }

    #[test]
    fn a_subject_has_letters_and_a_description_may_be_empty() {
        for bad in ["", "  ", &"x".repeat(101)] {
            assert!(parse_subject(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_subject(" Team ").expect("a subject").as_str(), "Team");
        assert_eq!(parse_description(" ").expect("none"), None);
        assert!(parse_description(&"x".repeat(2_049)).is_err());
    }
}
