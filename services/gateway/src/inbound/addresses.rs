//! One person is one address: by phone number where the number is known, by LID where it is not, and never guessed.
//!
//! WhatsApp names the same contact by number in one message and by LID in the next; the event's id and its chat must not
//! depend on which it was.

use kurir_contract::address::ChatJid;
use wacore::types::message::MessageSource;
use wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::Client;

/// Whose a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub chat: ChatJid,
    pub sender: ChatJid,
}

/// The canonical addresses of a message, with what the client's store knows.
pub async fn resolve(client: &Client, source: &MessageSource) -> Addresses {
    let mut known = Vec::new();
    for lid in to_look_up(source) {
        if let Some(number) = number_of(client, lid).await {
            known.push((lid.clone(), number));
        }
    }
    canonical(source, |lid| known.iter().find(|(known, _)| known.user == lid.user).map(|(_, number)| number.clone()))
}

/// One address as the store knows it.
pub async fn resolve_one(client: &Client, jid: &Jid) -> ChatJid {
    let number = if jid.server.is_lid_family() { number_of(client, jid).await } else { None };
    chat_jid(&number.unwrap_or_else(|| jid.clone()))
}

async fn number_of(client: &Client, lid: &Jid) -> Option<Jid> {
    // Looked up without the device, and in the one namespace that the store keeps.
    match client.get_lid_pn_entry(&Jid::lid(lid.user_base())).await {
        Ok(entry) => entry.map(|entry| Jid::pn(&*entry.phone_number)),
        Err(error) => {
            tracing::warn!("failed to look up the number of a LID: {error:#}");
            None
        }
    }
}

/// The LIDs of a message that the message itself gives no number for.
fn to_look_up(source: &MessageSource) -> impl Iterator<Item = &Jid> {
    let sender = source.sender.server.is_lid_family() && number_beside(source).is_none();
    let chat = source.chat.server.is_lid_family() && !source.chat.is_same_user_as(&source.sender);
    sender.then_some(&source.sender).into_iter().chain(chat.then_some(&source.chat))
}

/// The sender's number, if the message names it beside the LID.
fn number_beside(source: &MessageSource) -> Option<&Jid> {
    source.sender_alt.as_ref().filter(|alt| alt.server.is_pn_family())
}

/// Pure: what `look_up` does not know stays a LID.
fn canonical(source: &MessageSource, look_up: impl Fn(&Jid) -> Option<Jid>) -> Addresses {
    let sender = if source.sender.server.is_lid_family() {
        number_beside(source).cloned().or_else(|| look_up(&source.sender)).unwrap_or_else(|| source.sender.clone())
    } else {
        source.sender.clone()
    };
    let chat = if !source.chat.server.is_lid_family() {
        chat_jid(&source.chat)
    } else if source.chat.is_same_user_as(&source.sender) {
        chat_jid(&sender)
    } else {
        chat_jid(&look_up(&source.chat).unwrap_or_else(|| source.chat.clone()))
    };
    Addresses { chat, sender: chat_jid(&sender) }
}

/// Without device, and in the namespace that a user knows.
#[must_use]
pub fn chat_jid(jid: &Jid) -> ChatJid {
    let bare = if jid.server.is_pn_family() {
        Jid::pn(jid.user_base())
    } else if jid.server.is_lid_family() {
        Jid::lid(jid.user_base())
    } else {
        jid.to_non_ad()
    };
    ChatJid::from_whatsapp(&bare.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(chat: &str, sender: &str, alt: Option<&str>) -> MessageSource {
        MessageSource {
            chat: chat.parse().unwrap(),
            sender: sender.parse().unwrap(),
            sender_alt: alt.map(|alt| alt.parse().unwrap()),
            ..MessageSource::default()
        }
    }

    /// The store knows one person: LID 900 is number 628.
    fn store(lid: &Jid) -> Option<Jid> {
        (lid.user == "900").then(|| Jid::pn("628"))
    }

    #[test]
    fn a_person_is_one_address_however_a_message_names_him() {
        let number = "628@s.whatsapp.net";
        for (chat, sender, alt, expected) in [
            // Direct messages.
            (number, number, None, (number, number)),
            (number, "628:7@s.whatsapp.net", Some("900@lid"), (number, number)),
            ("900@lid", "900@lid", Some(number), (number, number)),
            ("900@lid", "900:7@lid", Some("628:7@s.whatsapp.net"), (number, number)),
            ("900@lid", "900@lid", None, (number, number)),
            ("900@hosted.lid", "900:99@hosted.lid", None, (number, number)),
            ("628@hosted", "628:99@hosted", None, (number, number)),
            // Nobody knows LID 901: not guessed.
            ("901@lid", "901:2@lid", None, ("901@lid", "901@lid")),
            // A LID that is no number's, beside another LID, helps nobody.
            ("901@lid", "901@lid", Some("902@lid"), ("901@lid", "901@lid")),
            // Groups.
            ("120363@g.us", "900:3@lid", Some(number), ("120363@g.us", number)),
            ("120363@g.us", "900@lid", None, ("120363@g.us", number)),
            ("120363@g.us", number, None, ("120363@g.us", number)),
            ("status@broadcast", "900@lid", None, ("status@broadcast", number)),
            ("120363@newsletter", "120363@newsletter", None, ("120363@newsletter", "120363@newsletter")),
        ] {
            let found = canonical(&source(chat, sender, alt), store);
            assert_eq!((found.chat.as_str(), found.sender.as_str()), expected, "{chat} {sender} {alt:?}");
        }
    }

    #[test]
    fn only_what_the_message_leaves_open_is_looked_up() {
        let asked = |chat, sender, alt| {
            let source = source(chat, sender, alt);
            to_look_up(&source).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(asked("900@lid", "900@lid", Some("628@s.whatsapp.net")).is_empty());
        assert!(asked("628@s.whatsapp.net", "628@s.whatsapp.net", Some("900@lid")).is_empty());
        assert_eq!(asked("900@lid", "900@lid", None), ["900@lid"]);
        assert_eq!(asked("120363@g.us", "900@lid", None), ["900@lid"]);
    }
}
