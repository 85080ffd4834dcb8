//! Changes the participants of a group: adds, removes, promotes, demotes, and says for each how it went.

use super::{
    lookup::{fetch_group, map_group_error, parse_group},
    view,
};
use crate::commands::{CommandServer, whatsapp_request::RequestFailure};
use kurir_contract::{
    address::ChatJid,
    command::{
        AnswerCommand, CommandError,
        group::{ChangeParticipants, GroupCreated, MOST_PARTICIPANTS, ParticipantResult, ParticipantResults},
        spec,
    },
    event::KnownAddresses,
};
use wacore_binary::Jid;
use whatsapp_rust::{
    Client,
    features::{GroupError, GroupMetadata, ParticipantChangeResponse},
};

/// A change of participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantChange {
    Add,
    Remove,
    Promote,
    Demote,
}

/// The result for one person: none if WhatsApp made the change, else its number.
type ParticipantAnswer = (KnownAddresses, Option<u16>);

const UNKNOWN: &str = "WhatsApp did not say how it went";

impl AnswerCommand<spec::AddParticipants> for CommandServer {
    async fn answer(&self, request: ChangeParticipants) -> Result<ParticipantResults, CommandError> {
        self.change_participants(request, ParticipantChange::Add).await
    }
}

impl AnswerCommand<spec::RemoveParticipants> for CommandServer {
    async fn answer(&self, request: ChangeParticipants) -> Result<ParticipantResults, CommandError> {
        self.change_participants(request, ParticipantChange::Remove).await
    }
}

impl AnswerCommand<spec::PromoteParticipants> for CommandServer {
    async fn answer(&self, request: ChangeParticipants) -> Result<ParticipantResults, CommandError> {
        self.change_participants(request, ParticipantChange::Promote).await
    }
}

impl AnswerCommand<spec::DemoteParticipants> for CommandServer {
    async fn answer(&self, request: ChangeParticipants) -> Result<ParticipantResults, CommandError> {
        self.change_participants(request, ParticipantChange::Demote).await
    }
}

impl CommandServer {
    async fn change_participants(
        &self,
        ChangeParticipants { group, participants }: ChangeParticipants,
        change: ParticipantChange,
    ) -> Result<ParticipantResults, CommandError> {
        let group = parse_group(&group)?;
        let people = parse_participants(&participants)?;
        if people.is_empty() {
            return Err(CommandError::invalid("participants must name somebody"));
        }
        self.ask_whatsapp(|client| async move {
            let answered = match change {
                ParticipantChange::Add => {
                    read_responses(&client, request_change(&client, &group, change, &people).await?).await
                }
                ParticipantChange::Remove | ParticipantChange::Promote | ParticipantChange::Demote => {
                    change_members(&client, &group, change, &participants).await?
                }
            };
            Ok(ParticipantResults { participants: participant_results(change, participants, &answered) })
        })
        .await
    }
}

/// WhatsApp lists people whom it could not add among the participants of a new group, and the client does not tell them
/// apart. So the group is looked up, and each missing person is added once more, which gives the reason.
pub async fn created_group_results(
    client: &Client,
    created: GroupMetadata,
    asked: Vec<ChatJid>,
    people: &[Jid],
) -> GroupCreated {
    let id = created.id.clone();
    let is_there = async |group: &GroupMetadata| {
        let mut there = Vec::new();
        for member in &group.participants {
            there.push((view::member_addresses(client, member).await, None));
        }
        there
    };
    // The group was created, even if nothing more is known of it.
    let Ok(mut group) = fetch_group(client, &id).await else {
        return GroupCreated {
            group: view::group_details(client, &created).await,
            participants: participant_results(ParticipantChange::Add, asked, &[]),
        };
    };
    let mut there = is_there(&group).await;
    let missing: Vec<Jid> = asked
        .iter()
        .zip(people)
        .filter(|(asked, _)| !there.iter().any(|(party, _)| view::has_address(party, asked)))
        .map(|(_, jid)| jid.clone())
        .collect();
    if !missing.is_empty()
        && let Ok(tried) = client.groups().add_participants(&id, &missing).await
    {
        let is_changed = tried.iter().any(ParticipantChangeResponse::is_ok);
        there.extend(read_responses(client, tried).await);
        if is_changed && let Ok(after) = fetch_group(client, &id).await {
            group = after;
        }
    }
    GroupCreated {
        group: view::group_details(client, &group).await,
        participants: participant_results(ParticipantChange::Add, asked, &there),
    }
}

/// Changes members under the addresses by which the group knows them.
async fn change_members(
    client: &Client,
    group: &Jid,
    change: ParticipantChange,
    asked: &[ChatJid],
) -> Result<Vec<ParticipantAnswer>, RequestFailure> {
    let (mut members, mut parties) = (Vec::new(), Vec::new());
    for member in fetch_group(client, group).await?.participants {
        let party = view::member_addresses(client, &member).await;
        if asked.iter().any(|asked| view::has_address(&party, asked)) {
            members.push(member.jid);
            parties.push(party);
        }
    }
    let mut all = Vec::with_capacity(asked.len());
    if !members.is_empty() {
        all = read_responses(client, request_change(client, group, change, &members).await?).await;
        // WhatsApp may answer under the other address.
        for (party, _) in &mut all {
            if let Some(known) = parties.iter().find(|known| view::has_address(known, &party.jid)) {
                *party = known.clone();
            }
        }
    }
    let strangers = asked.iter().filter(|asked| !parties.iter().any(|party| view::has_address(party, asked)));
    all.extend(strangers.map(|stranger| (KnownAddresses::from_jid(stranger.clone()), Some(404))));
    Ok(all)
}

async fn request_change(
    client: &Client,
    group: &Jid,
    change: ParticipantChange,
    people: &[Jid],
) -> Result<Vec<ParticipantChangeResponse>, RequestFailure> {
    let groups = client.groups();
    let answer: Result<_, GroupError> = match change {
        ParticipantChange::Add => groups.add_participants(group, people).await,
        ParticipantChange::Remove => groups.remove_participants(group, people).await,
        ParticipantChange::Promote => groups.promote_participants(group, people).await,
        ParticipantChange::Demote => groups.demote_participants(group, people).await,
    };
    map_group_error(client, group, answer).await
}

async fn read_responses(client: &Client, responses: Vec<ParticipantChangeResponse>) -> Vec<ParticipantAnswer> {
    let mut answered = Vec::with_capacity(responses.len());
    for response in responses {
        // A number that cannot be read is a refusal all the same.
        let code = response.error.as_deref().map(|code| code.parse().unwrap_or_default());
        answered.push((view::resolve_addresses(client, &response.jid, response.phone_number.as_ref()).await, code));
    }
    answered
}

fn participant_results(
    change: ParticipantChange,
    asked: Vec<ChatJid>,
    answered: &[ParticipantAnswer],
) -> Vec<ParticipantResult> {
    let result = |jid: ChatJid| match answered.iter().find(|(party, _)| view::has_address(party, &jid)) {
        Some((_, None)) => ParticipantResult { jid, ok: true, code: None, message: None },
        Some((_, Some(code))) => {
            let message = Some(explain_code(change, *code).to_owned());
            ParticipantResult { jid, ok: false, code: Some(*code), message }
        }
        None => ParticipantResult { jid, ok: false, code: None, message: Some(UNKNOWN.to_owned()) },
    };
    asked.into_iter().map(result).collect()
}

/// The meaning of WhatsApp's number for one participant.
fn explain_code(change: ParticipantChange, code: u16) -> &'static str {
    match (change, code) {
        (ParticipantChange::Add, 401) => "cannot be added: one of the two has blocked the other",
        (ParticipantChange::Add, 403) => {
            "lets only some people add to groups: send the group's invitation link instead"
        }
        (ParticipantChange::Add, 404) => "is not on WhatsApp",
        (ParticipantChange::Add, 408) => "left the group lately: send the group's invitation link instead",
        (ParticipantChange::Add, 409) => "is in the group already",
        (ParticipantChange::Add, 419 | 500) => "the group is full",
        (ParticipantChange::Remove | ParticipantChange::Promote | ParticipantChange::Demote, 404) => {
            "is not in the group"
        }
        (ParticipantChange::Remove, 405 | 406) => "made the group and cannot be removed",
        (ParticipantChange::Demote, 405 | 406) => "made the group and stays its administrator",
        (
            ParticipantChange::Add | ParticipantChange::Remove | ParticipantChange::Promote | ParticipantChange::Demote,
            _,
        ) => "WhatsApp refused it without a reason",
    }
}

/// The participants in the client's type.
pub fn parse_participants(given: &[ChatJid]) -> Result<Vec<Jid>, CommandError> {
    if given.len() > MOST_PARTICIPANTS {
        return Err(CommandError::invalid(format!("at most {MOST_PARTICIPANTS} participants at once")));
    }
    let person = |given: &ChatJid| {
        let jid: Option<Jid> = given.as_str().parse().ok();
        jid.filter(|jid| jid.is_pn() || jid.is_lid())
            .ok_or_else(|| CommandError::invalid("each participant must be a phone number, or a JID of a person"))
    };
    given.iter().map(person).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(jid: &str) -> ChatJid {
        ChatJid::from_whatsapp(jid)
    }

    #[test]
    fn everybody_who_was_asked_for_has_a_result_in_that_order() {
        let budi = KnownAddresses {
            jid: jid("628123@s.whatsapp.net"),
            pn: Some(jid("628123@s.whatsapp.net")),
            lid: Some(jid("1@lid")),
        };
        let answered = [(KnownAddresses::from_jid(jid("2@lid")), Some(403)), (budi, None)];
        let asked = vec![jid("1@lid"), jid("628123@s.whatsapp.net"), jid("2@lid"), jid("3@lid")];
        let got = participant_results(ParticipantChange::Add, asked.clone(), &answered);
        assert_eq!(got.iter().map(|result| result.jid.clone()).collect::<Vec<_>>(), asked);
        let seen: Vec<_> = got.iter().map(|result| (result.ok, result.code, result.message.is_some())).collect();
        let (done, privacy, unknown) = ((true, None, false), (false, Some(403), true), (false, None, true));
        assert_eq!(seen, [done, done, privacy, unknown]);
    }

    #[test]
    fn a_number_means_what_was_asked_for() {
        for (change, code, words_of) in [
            (ParticipantChange::Add, 404, "is not on WhatsApp"),
            (ParticipantChange::Remove, 404, "is not in the group"),
            (ParticipantChange::Add, 409, "is in the group already"),
            (ParticipantChange::Demote, 406, "made the group and stays its administrator"),
            (ParticipantChange::Promote, 777, "WhatsApp refused it without a reason"),
        ] {
            assert_eq!(explain_code(change, code), words_of, "{change:?} {code}");
        }
    }

    #[test]
    fn a_group_is_no_participant() {
        assert!(parse_participants(&[jid("1@g.us")]).is_err());
        assert!(parse_participants(&vec![jid("1@lid"); MOST_PARTICIPANTS + 1]).is_err());
    }
}
