//! The pairs of number and LID that a notice reveals. They go into the client's store, so that each later event has both
//! addresses, whichever notice taught them.

use wacore::{
    stanza::groups::GroupNotificationAction,
    types::{
        call::CallAction,
        events::{Event, GroupUpdate},
        lid_pn::LearningSource,
        message::MessageSource,
    },
};
use wacore_binary::Jid;
use waproto::whatsapp::Conversation;
use whatsapp_rust::Client;

/// Two addresses of one person.
pub type JidPair = (Jid, Jid);

/// Stores the pairs that the client does not know. What is stored outlasts a restart.
pub async fn learn_pairs(client: &Client, pairs: &[JidPair]) {
    let mut unknown = Vec::new();
    for (one, other) in pairs {
        let (number, lid) = if one.server.is_pn_family() { (one, other) } else { (other, one) };
        if !number.server.is_pn_family() || !lid.server.is_lid_family() {
            continue;
        }
        let known = client.get_lid_pn_entry(&Jid::lid(lid.user_base())).await.ok().flatten();
        if known.is_none() {
            unknown.push((lid.user_base().to_owned(), number.user_base().to_owned()));
        }
    }
    if unknown.is_empty() {
        return;
    }
    if let Err(error) = client.add_lid_pn_mappings(unknown, LearningSource::Other).await {
        tracing::warn!("failed to store the addresses of a contact: {error:#}");
    }
}

/// The pairs in a notice. Pure.
pub fn pairs_in_event(event: &Event) -> Vec<JidPair> {
    match event {
        Event::Receipt(receipt) => pairs_in_source(&receipt.source),
        Event::ChatPresence(presence) => pairs_in_source(&presence.source),
        Event::GroupUpdate(update) => pairs_in_group(update),
        Event::IncomingCall(call) => match &call.action {
            CallAction::Offer { caller_pn: Some(number), call_creator, .. } => {
                vec![(call_creator.clone(), number.clone())]
            }
            _ => Vec::new(),
        },
        Event::ContactNumberChanged(changed) => {
            let pair = |jid: &Jid, lid: &Option<Jid>| lid.clone().map(|lid| (jid.clone(), lid));
            let pairs = [pair(&changed.old_jid, &changed.old_lid), pair(&changed.new_jid, &changed.new_lid)];
            pairs.into_iter().flatten().collect()
        }
        Event::ContactUpdate(update) => {
            let parsed = |jid: &Option<String>| jid.as_deref().and_then(|jid| jid.parse::<Jid>().ok());
            let (lid, number) = (parsed(&update.action.lid_jid), parsed(&update.action.pn_jid));
            let others = [lid.clone().zip(number.clone()), lid.map(|lid| (update.jid.clone(), lid))];
            let number = number.map(|number| (update.jid.clone(), number));
            others.into_iter().flatten().chain(number).collect()
        }
        Event::IdentityChange(change) => change.lid_user.iter().map(|lid| (change.user.clone(), lid.clone())).collect(),
        // The others have one address, or none.
        _ => Vec::new(),
    }
}

/// The pairs in the head of a message, a receipt or a presence. The other address of a chat comes with what the account's
/// own phone sent.
pub fn pairs_in_source(source: &MessageSource) -> Vec<JidPair> {
    let sender = source.sender_alt.iter().map(|alt| (source.sender.clone(), alt.clone()));
    let chat = source.recipient_alt.iter().map(|alt| (source.chat.clone(), alt.clone()));
    sender.chain(chat).collect()
}

/// The pairs in a chat of the history.
pub fn pairs_in_conversation(conversation: &Conversation) -> Vec<JidPair> {
    let parsed = |jid: &str| jid.parse::<Jid>().ok();
    let Some(id) = parsed(&conversation.id) else { return Vec::new() };
    let others = [&conversation.pn_jid, &conversation.lid_jid].into_iter().flatten();
    others.filter_map(|other| Some((id.clone(), parsed(other)?))).collect()
}

fn pairs_in_group(update: &GroupUpdate) -> Vec<JidPair> {
    use GroupNotificationAction as Action;
    let author = update.participant.clone().zip(update.participant_pn.clone());
    let members = match &update.action {
        Action::Add { participants, .. }
        | Action::Remove { participants, .. }
        | Action::Promote { participants }
        | Action::Demote { participants }
        | Action::Modify { participants }
        | Action::CreatedMembershipRequests { requests: participants, .. } => participants.as_slice(),
        // The others name no members, or name them by one address.
        _ => &[],
    };
    let members = members.iter().flat_map(|member| {
        let others = [&member.phone_number, &member.lid].into_iter().flatten();
        others.map(|other| (member.jid.clone(), other.clone()))
    });
    author.into_iter().chain(members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::types::call::IncomingCall;

    fn jid(jid: &str) -> Jid {
        jid.parse().expect("a JID")
    }

    #[test]
    fn the_head_of_a_message_names_both_its_people() {
        let source = MessageSource {
            chat: jid("901@lid"),
            sender: jid("900:2@lid"),
            sender_alt: Some(jid("628@s.whatsapp.net")),
            recipient_alt: Some(jid("629@s.whatsapp.net")),
            ..MessageSource::default()
        };
        let expected = [(jid("900:2@lid"), jid("628@s.whatsapp.net")), (jid("901@lid"), jid("629@s.whatsapp.net"))];
        assert_eq!(pairs_in_source(&source), expected);
    }

    #[test]
    fn a_call_without_a_number_teaches_nothing() {
        let call = IncomingCall::builder()
            .from(jid("900@lid"))
            .stanza_id("S".to_owned())
            .timestamp(whatsapp_rust::chrono::Utc::now())
            .offline(false)
            .action(CallAction::Terminate {
                call_id: "C".to_owned(),
                call_creator: jid("900@lid"),
                duration: None,
                audio_duration: None,
                reason: None,
            })
            .build();
        assert_eq!(pairs_in_event(&Event::IncomingCall(call)), []);
    }
}
