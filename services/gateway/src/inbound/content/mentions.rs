//! The people whom a message mentions, each with the words that stand for them in the text. Pure.

use super::UnwrappedMessage;
use crate::inbound::addresses::AddressDirectory;
use kurir_contract::event::Mention;
use wacore_binary::Jid;
use waproto::whatsapp::{ContextInfo, Message};

/// The number of mentions that are resolved and published. WhatsApp limits a group to 1,024 members.
const MENTIONS: usize = 1_024;

/// The people whom a message mentions, in its order.
pub fn mentioned_people(info: &ContextInfo) -> impl Iterator<Item = Jid> {
    info.mentioned_jid.iter().take(MENTIONS).filter_map(|jid| jid.parse().ok())
}

/// Whether the message mentions more than are published.
pub fn has_more(info: &ContextInfo) -> bool {
    info.mentioned_jid.len() > MENTIONS || info.group_mentions.len() > MENTIONS
}

/// The mentions of people and of groups.
pub fn mentions(opened: UnwrappedMessage<'_>, info: &ContextInfo, directory: &AddressDirectory) -> Vec<Mention> {
    let text = written_text(opened.message);
    let token = |words: &str| {
        let token = format!("@{words}");
        text.filter(|text| text.contains(&token)).map(|_| token)
    };
    let people = mentioned_people(info).map(|jid| {
        let person = directory.known_addresses(&jid);
        // An app writes the address that it used in the list. Others may write the other one.
        let users = std::iter::once(jid.user_base().to_owned())
            .chain([&person.pn, &person.lid].into_iter().flatten().map(|other| user_of(other.as_str()).to_owned()));
        let token = users.into_iter().find_map(|user| token(&user));
        Mention { token, person, is_me: directory.is_own(&jid), name: None }
    });
    let groups = info.group_mentions.iter().take(MENTIONS).filter_map(|group| {
        let (jid, name) = (group.group_jid.as_deref()?, group.group_subject.clone());
        let token = name.as_deref().and_then(token).or_else(|| token(user_of(jid))).or_else(|| token(jid));
        let person = directory.known_addresses(&jid.parse().ok()?);
        Some(Mention { token, person, is_me: false, name })
    });
    people.chain(groups).collect()
}

fn user_of(jid: &str) -> &str {
    jid.split_once('@').map_or(jid, |(user, _)| user)
}

/// The text that a person wrote, in the kinds of message whose text can mention somebody.
fn written_text(message: &Message) -> Option<&str> {
    let extended = message.extended_text_message.as_option().and_then(|text| text.text.as_deref());
    let image = message.image_message.as_option().and_then(|image| image.caption.as_deref());
    let video = message.video_message.as_option().and_then(|video| video.caption.as_deref());
    let document = message.document_message.as_option().and_then(|document| document.caption.as_deref());
    let poll = super::kinds::find_poll_creation(message).and_then(|poll| poll.name.as_deref());
    let event = message.event_message.as_option().and_then(|event| event.description.as_deref());
    let interactive = message.interactive_message.as_option().and_then(|card| card.body.as_option()?.text.as_deref());
    let plain = message.conversation.as_deref();
    plain.or(extended).or(image).or(video).or(document).or(poll).or(event).or(interactive)
}
