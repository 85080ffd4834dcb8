//! What people show of themselves and whom they block, as clients ask for it and change it.

use bytes::Bytes;
use wacore_binary::{JidExt as _, NodeRef, builder::NodeBuilder};

use super::{
    iq::IqReply,
    node::{attribute, child_bytes, jid, text},
};
use crate::{groups::ProfilePicture, phone_number::PhoneNumber, privacy::PrivacyCategory, state::ServerState};

/// Nothing here makes a picture smaller, so every preview is this one of 16 by 16 pixels.
const PREVIEW: &[u8] = include_bytes!("../preview.jpg");

impl ServerState {
    pub(super) fn set_about(&mut self, number: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let about = iq.get_optional_child("status").map(text).unwrap_or_default();
        if let Some(person) = self.people.get_mut(number) {
            person.about = (!about.is_empty()).then(|| about.clone());
        }
        self.dirty = true;
        self.tell_of_about(number, &about);
        IqReply::empty()
    }

    /// Of a person or of a group that one is in.
    pub(super) fn picture(&mut self, number: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let Some(target) = jid(iq, "target") else { return IqReply::refused(400, "bad-request") };
        let picture = if target.is_group() {
            let group = self.groups.get(&target.user).filter(|group| group.participants.contains(number));
            group.and_then(|group| group.picture.as_ref())
        } else {
            let owner = self.people.number_of(&target);
            let asked = iq.get_optional_child("picture");
            let may = |owner: &PhoneNumber| {
                self.may_see(owner, number, PrivacyCategory::Profile) && self.shows_itself_to(owner, number, asked)
            };
            if owner.as_ref().is_some_and(|owner| !may(owner)) {
                return IqReply::refused(401, "not-authorized");
            }
            let person = owner.and_then(|owner| self.people.get(&owner));
            person.and_then(|person| person.picture.as_ref())
        };
        let Some(picture) = picture else { return IqReply::refused(404, "item-not-found") };
        let asked = iq.get_optional_child("picture");
        if asked.and_then(|asked| attribute(asked, "id")).as_ref() == Some(&picture.id) {
            return IqReply::one(NodeBuilder::new("picture").attr("status", "304").build());
        }
        let is_preview = asked.and_then(|asked| attribute(asked, "type")).as_deref() != Some("image");
        let path = if is_preview { &picture.preview_path } else { &picture.path };
        let shown = NodeBuilder::new("picture")
            .attr("id", picture.id.as_str())
            .attr("type", if is_preview { "preview" } else { "image" })
            .attr("url", self.media.url(path))
            .attr("direct_path", path.as_str());
        IqReply::one(shown.build())
    }

    /// The own one, or a group's; without bytes it is removed.
    pub(super) fn set_picture(&mut self, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) -> IqReply {
        let bytes = child_bytes(iq, "picture");
        let Some(target) = jid(iq, "target") else {
            let picture = bytes.map(|bytes| self.keep_picture(bytes));
            self.show_picture(number, picture.clone());
            let told = NodeBuilder::new("picture").build();
            self.account_sync(number, Some(device), &told);
            return shown(picture);
        };
        let Some(group) = self.groups.get(&target.user) else { return IqReply::refused(404, "item-not-found") };
        let may = group.is_admin(number) || (group.participants.contains(number) && !group.locked);
        if !may {
            return IqReply::refused(403, "forbidden");
        }
        let members: Vec<PhoneNumber> = group.participants.iter().cloned().collect();
        let picture = bytes.map(|bytes| self.keep_picture(bytes));
        if let Some(group) = self.groups.get_mut(&target.user) {
            group.picture.clone_from(&picture);
        }
        self.tell_of_group_picture(&target.user, number, &members, picture.as_ref());
        shown(picture)
    }

    /// Somebody has a new picture, or none any more: all others are told.
    pub fn show_picture(&mut self, number: &PhoneNumber, picture: Option<ProfilePicture>) {
        if let Some(person) = self.people.get_mut(number) {
            person.picture.clone_from(&picture);
        }
        self.tell_of_picture(number, picture.as_ref());
    }

    pub fn keep_picture(&mut self, bytes: Vec<u8>) -> ProfilePicture {
        self.last_picture = self.now().max(self.last_picture + 1);
        ProfilePicture {
            id: self.last_picture.to_string(),
            path: self.media.put("picture", bytes.into()),
            preview_path: self.media.put("preview", Bytes::from_static(PREVIEW)),
        }
    }

    pub(super) fn blocklist(&self, number: &PhoneNumber) -> IqReply {
        let blocked = self.people.get(number).map(|person| person.blocked.clone()).unwrap_or_default();
        let items = blocked.iter().map(|number| NodeBuilder::new("item").attr("jid", number.lid_jid(0)).build());
        IqReply::one(NodeBuilder::new("list").children(items).build())
    }

    pub(super) fn block(&mut self, number: &PhoneNumber, iq: &NodeRef<'_>) -> IqReply {
        let Some(item) = iq.get_optional_child("item") else { return IqReply::refused(400, "bad-request") };
        let Some(blocked) = jid(item, "jid").and_then(|jid| self.people.number_of(&jid)) else {
            return IqReply::refused(404, "item-not-found");
        };
        let action = attribute(item, "action");
        // WhatsApp refuses a block that names only one of the two addresses.
        if action.as_deref() == Some("block") && jid(item, "pn_jid").is_none() {
            return IqReply::refused(400, "bad-request");
        }
        let Some(person) = self.people.get_mut(number) else { return IqReply::refused(404, "item-not-found") };
        match action.as_deref() {
            Some("block") => person.blocked.insert(blocked),
            Some("unblock") => person.blocked.remove(&blocked),
            _ => return IqReply::refused(400, "bad-request"),
        };
        self.dirty = true;
        IqReply::empty()
    }
}

fn shown(picture: Option<ProfilePicture>) -> IqReply {
    match picture {
        Some(picture) => IqReply::one(NodeBuilder::new("picture").attr("id", picture.id).build()),
        None => IqReply::empty(),
    }
}
