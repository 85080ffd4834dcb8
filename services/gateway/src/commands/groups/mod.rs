//! Groups: shown, made, changed, joined and left. `participants` changes who is in one, `shown` says what it is.
//!
//! Nothing of a group is remembered here: WhatsApp is asked each time.

mod participants;
mod text;
mod view;

pub use participants::ParticipantChange;

use super::{CommandServer, invalid, refusal, whatsapp_request::RequestFailure};
use crate::inbound::addresses::chat_jid;
use kurir_contract::{
    address::ChatJid,
    command::{
        CommandError, CommandErrorCode,
        group::{
            ChangeGroup, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft, GroupPage, GroupRequest,
            InviteLink, JoinGroup, LONGEST_DESCRIPTION, LONGEST_SUBJECT, ListGroups, MOST_GROUPS,
        },
    },
};
use std::cmp::Ordering;
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{
        GroupCreateOptions, GroupDescription, GroupError, GroupMetadata, GroupParticipantOptions, GroupSubject,
        JoinGroupResult,
    },
    request::IqError,
};

/// WhatsApp's numbers for who is not in a group, or may not do what he asks for.
const MAY_NOT: [u16; 3] = [401, 403, 404];
/// … for a code that is none, was one, or leads to nothing.
const NO_INVITE: [u16; 3] = [404, 406, 410];
/// … for who is in the group already.
const IS_MEMBER: u16 = 409;

impl CommandServer {
    pub(super) async fn list_groups(
        &self,
        request: Result<ListGroups, CommandError>,
    ) -> Result<GroupPage, CommandError> {
        let ListGroups { limit, after } = request?;
        if !(1..=MOST_GROUPS).contains(&limit) {
            return Err(invalid(format!("limit must be a whole number from 1 to {MOST_GROUPS}")));
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

    pub(super) async fn group(
        &self,
        request: Result<GroupRequest, CommandError>,
    ) -> Result<GroupDetails, CommandError> {
        let group = parse_group(&request?.group)?;
        self.ask_whatsapp(|client| async move {
            Ok(view::group_details(&client, &fetch_group(&client, &group).await?).await)
        })
        .await
    }

    pub(super) async fn create_group(
        &self,
        request: Result<CreateGroup, CommandError>,
    ) -> Result<GroupCreated, CommandError> {
        let CreateGroup { subject, participants } = request?;
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

    /// Says what was changed already, if a later change is refused.
    pub(super) async fn change_group(
        &self,
        request: Result<ChangeGroup, CommandError>,
    ) -> Result<GroupDetails, CommandError> {
        let ChangeGroup { group, subject, description, announcement, locked } = request?;
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

    /// The link, as it is or a new one.
    pub(super) async fn group_invite(
        &self,
        request: Result<GroupRequest, CommandError>,
        anew: bool,
    ) -> Result<InviteLink, CommandError> {
        let group = parse_group(&request?.group)?;
        self.ask_whatsapp(|client| async move {
            let link = client.groups().get_invite_link(&group, anew).await;
            let link = map_group_error(&client, &group, link).await?;
            let code = link.rsplit('/').next().unwrap_or_default().to_owned();
            Ok(InviteLink { link, code })
        })
        .await
    }

    pub(super) async fn join_group(
        &self,
        request: Result<JoinGroup, CommandError>,
    ) -> Result<GroupJoined, CommandError> {
        let code = request?.code;
        self.ask_whatsapp(|client| async move {
            let joined = match text::join(&client, &code).await {
                Ok(joined) => joined,
                // Who is in it already is where he wanted to be.
                Err(error) if is_refused_with(&error, &[IS_MEMBER]) => {
                    JoinGroupResult::Joined(text::invited_to(&client, &code).await?)
                }
                Err(error) if is_refused_with(&error, &NO_INVITE) => {
                    let text = "there is no such invitation, or its link was replaced: ask for the new one";
                    return Err(refusal(CommandErrorCode::InviteNotFound, text).into());
                }
                Err(error) => return Err(error.into()),
            };
            let pending = matches!(joined, JoinGroupResult::PendingApproval(_));
            Ok(GroupJoined { id: chat_jid(joined.group_jid()), pending })
        })
        .await
    }

    pub(super) async fn leave_group(
        &self,
        request: Result<GroupRequest, CommandError>,
    ) -> Result<GroupLeft, CommandError> {
        let group = parse_group(&request?.group)?;
        self.ask_whatsapp(|client| async move {
            // Leaving a group that one is not in is answered like leaving any other.
            fetch_group(&client, &group).await?;
            client.groups().leave(&group).await?;
            Ok(GroupLeft {})
        })
        .await
    }
}

/// What WhatsApp says of a group.
async fn fetch_group(client: &Client, group: &Jid) -> Result<GroupMetadata, RequestFailure> {
    match client.groups().get_metadata(group).await {
        Err(error) if is_refused_with(&error, &MAY_NOT) => Err(group_not_found().into()),
        other => Ok(other?),
    }
}

/// WhatsApp has one number for who is not in the group and for who may not: the second sees the group.
pub(super) async fn map_group_error<T>(
    client: &Client,
    group: &Jid,
    done: Result<T, GroupError>,
) -> Result<T, RequestFailure> {
    match done {
        Err(error) if is_refused_with(&error, &MAY_NOT) => {
            fetch_group(client, group).await?;
            Err(error.into())
        }
        other => Ok(other?),
    }
}

/// One of several changes; `done` are those before it.
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

fn is_refused_with(error: &GroupError, codes: &[u16]) -> bool {
    matches!(error, GroupError::Iq(IqError::ServerError { code, .. }) if codes.contains(code))
}

fn group_not_found() -> CommandError {
    refusal(CommandErrorCode::GroupNotFound, "there is no such group, or this account is not in it")
}

/// Those behind `after` in the order of their ids, and where the next page begins.
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

pub(super) fn parse_group(group: &ChatJid) -> Result<Jid, CommandError> {
    let jid = group.as_str().parse().ok().filter(|_| group.is_group());
    jid.ok_or_else(|| invalid("a group's id looks like 120363000000000001@g.us".to_owned()))
}

fn parse_subject(subject: &str) -> Result<GroupSubject, CommandError> {
    let subject = Some(subject.trim()).filter(|subject| !subject.is_empty());
    subject
        .and_then(|subject| GroupSubject::new(subject).ok())
        .ok_or_else(|| invalid(format!("a subject has 1 to {LONGEST_SUBJECT} characters")))
}

/// An empty one is none.
fn parse_description(description: &str) -> Result<Option<GroupDescription>, CommandError> {
    let description = Some(description.trim()).filter(|description| !description.is_empty());
    description
        .map(GroupDescription::new)
        .transpose()
        .map_err(|_| invalid(format!("a description has at most {LONGEST_DESCRIPTION} characters")))
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
