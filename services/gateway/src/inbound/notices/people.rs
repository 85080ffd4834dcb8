//! `presence.updated`, `contact.updated`, `contact.identity_changed`, and a group's picture. Pure.

use super::notice_event::NoticeEvent;
use crate::inbound::{addresses::AddressDirectory, mapping::EventSource};
use kurir_contract::{
    event::{
        ContactChange, ContactUpdated, EventType, GroupChange, GroupUpdated, IdentityChanged, PresenceState,
        PresenceUpdated,
    },
    session::SessionId,
};
use wacore::types::{
    events::{Event, PictureUpdate},
    presence::{ChatPresence, ChatPresenceMedia},
};
use wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::chrono::{DateTime, Utc};

/// The event of a notice about a person; none for events that the listener does not pass on.
pub fn person_notice(event: &Event, directory: &AddressDirectory, session: &SessionId) -> Option<NoticeEvent> {
    let people = PersonNotices { directory, session };
    match event {
        Event::Presence(presence) => {
            let state = if presence.unavailable { PresenceState::Unavailable } else { PresenceState::Available };
            let last_seen = presence.last_seen.map(|at| at.timestamp_millis());
            Some(people.presence_notice(&presence.from, &presence.from, state, last_seen))
        }
        Event::ChatPresence(presence) => {
            let state = match (presence.state, presence.media) {
                (ChatPresence::Composing, ChatPresenceMedia::Text) => PresenceState::Composing,
                (ChatPresence::Composing, ChatPresenceMedia::Audio) => PresenceState::Recording,
                (ChatPresence::Paused, _) => PresenceState::Paused,
            };
            Some(people.presence_notice(&presence.source.chat, &presence.source.sender, state, None))
        }
        Event::UserAboutUpdate(update) => {
            let about = ContactChange::About { about: update.status.clone() };
            Some(people.contact_notice(&update.jid, about, update.timestamp))
        }
        Event::ContactUpdated(update) => {
            Some(people.contact_notice(&update.jid, ContactChange::Profile {}, update.timestamp))
        }
        Event::ContactNumberChanged(changed) => {
            let mut directory = directory.clone();
            for (number, lid) in [(&changed.old_jid, &changed.old_lid), (&changed.new_jid, &changed.new_lid)] {
                if let Some(lid) = lid {
                    directory.add_pair(number, lid);
                }
            }
            let number = ContactChange::Number { previous: directory.known_addresses(&changed.old_jid) };
            let people = PersonNotices { directory: &directory, session };
            Some(people.contact_notice(&changed.new_jid, number, changed.timestamp))
        }
        // At a pairing the whole address book comes, which is no change.
        Event::ContactUpdate(update) if !update.from_full_sync => {
            let (full_name, first_name) = (update.action.full_name.clone(), update.action.first_name.clone());
            Some(people.contact_notice(&update.jid, ContactChange::Name { full_name, first_name }, update.timestamp))
        }
        Event::IdentityChange(change) => {
            let mut directory = directory.clone();
            if let Some(lid) = &change.lid_user {
                directory.add_pair(&change.user, lid);
            }
            Some(PersonNotices { directory: &directory, session }.identity_notice(&change.user))
        }
        _ => None,
    }
}

/// The event of a new picture of a contact or a group.
pub fn picture_notice(
    update: &PictureUpdate,
    directory: &AddressDirectory,
    session: &SessionId,
) -> Option<NoticeEvent> {
    let removed = update.removed;
    if !update.jid.is_group() {
        let people = PersonNotices { directory, session };
        return Some(people.contact_notice(&update.jid, ContactChange::Picture { removed }, update.timestamp));
    }
    let kind = EventType::GROUP_UPDATED;
    let author = update.author.as_ref().unwrap_or(&update.jid);
    let place = EventSource { chat: &update.jid, author, from_me: directory.is_own(author) };
    let origin = place.event_origin(directory, session, &kind, ("", ""));
    let (change, timestamp) = (GroupChange::Picture { removed }, update.timestamp.timestamp_millis());
    Some(NoticeEvent::new(kind, origin.event_id.clone(), GroupUpdated { change, timestamp, origin }))
}

struct PersonNotices<'a> {
    directory: &'a AddressDirectory,
    session: &'a SessionId,
}

impl PersonNotices<'_> {
    fn presence_notice(
        &self,
        chat: &Jid,
        author: &Jid,
        presence: PresenceState,
        last_seen: Option<i64>,
    ) -> NoticeEvent {
        let kind = EventType::PRESENCE_UPDATED;
        let place = EventSource { chat, author, from_me: self.directory.is_own(author) };
        let origin = place.event_origin(self.directory, self.session, &kind, ("", ""));
        NoticeEvent::new(kind, origin.event_id.clone(), PresenceUpdated { presence, last_seen, origin })
    }

    fn contact_notice(&self, jid: &Jid, change: ContactChange, at: DateTime<Utc>) -> NoticeEvent {
        let kind = EventType::CONTACT_UPDATED;
        let place = EventSource { chat: jid, author: jid, from_me: self.directory.is_own(jid) };
        let origin = place.event_origin(self.directory, self.session, &kind, ("", ""));
        let timestamp = at.timestamp_millis();
        NoticeEvent::new(kind, origin.event_id.clone(), ContactUpdated { change, timestamp, origin })
    }

    fn identity_notice(&self, jid: &Jid) -> NoticeEvent {
        let kind = EventType::CONTACT_IDENTITY_CHANGED;
        let place = EventSource { chat: jid, author: jid, from_me: self.directory.is_own(jid) };
        let origin = place.event_origin(self.directory, self.session, &kind, ("", ""));
        let timestamp = Utc::now().timestamp_millis();
        NoticeEvent::new(kind, origin.event_id.clone(), IdentityChanged { timestamp, origin })
    }
}
