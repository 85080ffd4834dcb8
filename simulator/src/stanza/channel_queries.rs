//! Channels as clients ask for them in GraphQL: made, shown, found, followed, changed and deleted.
//! An account's other companions are told what one of them did.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

use super::graphql::{GraphqlAnswer, GraphqlError, Operation};
use crate::{
    channels::{Channel, ChannelRole, ChannelText},
    phone_number::PhoneNumber,
    state::ServerState,
};

/// WhatsApp's bounds of a channel's texts.
const MAX_NAME: usize = 100;
const MAX_DESCRIPTION: usize = 2_048;
/// Followers that one answer lists.
const MAX_LISTED: usize = 1_000;

impl ServerState {
    pub(super) fn answer_about_channel(
        &mut self,
        operation: Operation,
        account: &PhoneNumber,
        variables: &Value,
    ) -> GraphqlAnswer {
        match operation {
            Operation::CreateChannel => return self.create_channel(account, variables),
            Operation::ListChannels => {
                let mine = self.channels.iter().filter(|channel| channel.is_followed_by(account));
                let shown = mine.map(|channel| self.show_channel(channel, account)).collect();
                return Ok(("xwa2_newsletter_subscribed", Value::Array(shown)));
            }
            Operation::ShowChannel => {
                let channel = self.asked_channel(variables).ok_or(GraphqlError::NOT_FOUND)?;
                return Ok(("xwa2_newsletter", self.show_channel(channel, account)));
            }
            _ => {}
        }
        let input = &variables["input"];
        let named = variables["newsletter_id"].as_str().or(input["newsletter_id"].as_str()).unwrap_or_default();
        let channel = self.channels.get_mut(named).ok_or(GraphqlError::NOT_FOUND)?;
        let id = channel.id.clone();
        let role = channel.role(account);
        let is_owner = role == ChannelRole::Owner;
        self.dirty = true;
        match operation {
            Operation::JoinChannel => {
                channel.followers.insert(account.clone());
                Ok(("xwa2_newsletter_join_v2", self.told_of_channel(&id, account, "join")))
            }
            // Everybody follows a channel that nobody made.
            Operation::LeaveChannel if is_owner || channel.owner.is_none() => Err(GraphqlError::FORBIDDEN),
            Operation::LeaveChannel => {
                channel.followers.remove(account);
                channel.admins.remove(account);
                channel.muted.remove(account);
                Ok(("xwa2_newsletter_leave_v2", self.told_of_channel(&id, account, "leave")))
            }
            Operation::MuteChannel | Operation::UnmuteChannel => {
                let on = operation == Operation::MuteChannel;
                self.mute_channel(&id, account, on)?;
                let field = if on { "xwa2_newsletter_mute_v2" } else { "xwa2_newsletter_unmute_v2" };
                Ok((field, self.told_of_channel(&id, account, "mute_change")))
            }
            Operation::ChangeChannelSetting => {
                let on = match input["value"].as_str() {
                    Some("ON") => true,
                    Some("OFF") => false,
                    _ => return Err(GraphqlError::BAD),
                };
                self.mute_channel(&id, account, on)?;
                Ok(("xwa2_newsletter_update_user_setting", self.told_of_channel(&id, account, "mute_change")))
            }
            Operation::UpdateChannel if !role.may_write() => Err(GraphqlError::FORBIDDEN),
            Operation::UpdateChannel => {
                self.update_channel(&id, &variables["updates"])?;
                let channel = self.channels.get(&id).ok_or(GraphqlError::NOT_FOUND)?;
                Ok(("xwa2_newsletter_update", self.show_channel(channel, account)))
            }
            Operation::CountAdmins => {
                let count = channel.admins.len() + usize::from(channel.owner.is_some());
                Ok(("xwa2_newsletter_admin", json!({"id": named, "admin_count": count})))
            }
            Operation::ListFollowers if !role.may_write() => Err(GraphqlError::FORBIDDEN),
            Operation::ListFollowers => Ok(("xwa2_newsletter_subscribers", followers(channel))),
            Operation::ChangeOwner | Operation::DemoteAdmin | Operation::DeleteChannel if !is_owner => {
                Err(GraphqlError::FORBIDDEN)
            }
            Operation::DeleteChannel => {
                self.channels.remove(&id);
                Ok(("xwa2_newsletter_delete_v2", json!({"id": named, "state": {"type": "deleted"}})))
            }
            Operation::ChangeOwner | Operation::DemoteAdmin => {
                let user = variables["user_id"].as_str().or(input["user_id"].as_str()).and_then(|jid| jid.parse().ok());
                let user = user.and_then(|jid| self.people.number_of(&jid)).ok_or(GraphqlError::NOT_FOUND)?;
                let channel = self.channels.get_mut(&id).ok_or(GraphqlError::NOT_FOUND)?;
                let was_admin = channel.admins.remove(&user);
                let is_possible = match operation {
                    Operation::ChangeOwner => user != *account && channel.is_followed_by(&user),
                    _ => was_admin,
                };
                if !is_possible {
                    return Err(GraphqlError::BAD);
                }
                if operation == Operation::DemoteAdmin {
                    return Ok(("xwa2_newsletter_demote", json!({"id": named})));
                }
                channel.admins.extend(channel.owner.replace(user));
                Ok(("xwa2_newsletter_change_owner", json!({"id": named})))
            }
            _ => Err(GraphqlError::BAD),
        }
    }

    fn asked_channel(&self, variables: &Value) -> Option<&Channel> {
        let input = &variables["input"];
        let key = input["key"].as_str()?;
        match input["type"].as_str()? {
            "INVITE" => self.channels.invited_by(key),
            _ => self.channels.get(key),
        }
    }

    fn create_channel(&mut self, account: &PhoneNumber, variables: &Value) -> GraphqlAnswer {
        let input = ["input", "newsletter_input"].map(|name| &variables[name]).into_iter().find(|one| one.is_object());
        let input = input.ok_or(GraphqlError::BAD)?;
        let name = input["name"].as_str().ok_or(GraphqlError::BAD)?;
        check_texts(input)?;
        let now = self.now();
        let channel = self.channels.create(name, account.clone(), now).map_err(|_| GraphqlError::FORBIDDEN)?;
        let id = channel.id.clone();
        self.dirty = true;
        if let Err(problem) = self.update_channel(&id, input) {
            self.channels.remove(&id);
            return Err(problem);
        }
        let channel = self.channels.get(&id).ok_or(GraphqlError::NOT_FOUND)?;
        Ok(("xwa2_newsletter_create", self.show_channel(channel, account)))
    }

    /// `name`, `description` and `picture` (base64, empty: none), as far as they are given.
    fn update_channel(&mut self, id: &str, updates: &Value) -> Result<(), GraphqlError> {
        check_texts(updates)?;
        let now = self.now();
        let picture = match updates["picture"].as_str() {
            None => None,
            Some("") => Some(None),
            Some(picture) => {
                let bytes = BASE64_STANDARD.decode(picture).map_err(|_| GraphqlError::BAD)?;
                Some(Some(self.keep_picture(bytes)))
            }
        };
        let channel = self.channels.get_mut(id).ok_or(GraphqlError::NOT_FOUND)?;
        let text = |field: &str| updates[field].as_str().map(|text| ChannelText { text: text.to_owned(), set: now });
        if let Some(name) = text("name") {
            channel.name = name;
        }
        if let Some(description) = text("description") {
            channel.description = description;
        }
        if let Some(picture) = picture {
            channel.picture = picture;
        }
        Ok(())
    }

    fn mute_channel(&mut self, id: &str, account: &PhoneNumber, on: bool) -> Result<(), GraphqlError> {
        let channel = self.channels.get_mut(id).ok_or(GraphqlError::NOT_FOUND)?;
        if !channel.is_followed_by(account) {
            return Err(GraphqlError::FORBIDDEN);
        }
        if on {
            channel.muted.insert(account.clone());
        } else {
            channel.muted.remove(account);
        }
        Ok(())
    }

    /// Shows a channel to who changed something of its own in it, and tells the account's companions of that.
    fn told_of_channel(&mut self, id: &str, account: &PhoneNumber, change: &str) -> Value {
        let Some(channel) = self.channels.get(id) else { return Value::Null };
        let shown = self.show_channel(channel, account);
        let told = match change {
            "join" => shown.clone(),
            "leave" => json!({"id": shown["id"], "role": shown["viewer_metadata"]["role"]}),
            _ => json!({"id": shown["id"], "mute": shown["viewer_metadata"]["mute"]}),
        };
        let operation = match change {
            "join" => "NotificationNewsletterJoin",
            "leave" => "NotificationNewsletterLeave",
            _ => "NotificationNewsletterUserSettingChange",
        };
        let field = format!("xwa2_notify_newsletter_on_{change}");
        let content = json!({"data": {field: told}}).to_string();
        for device in self.devices_of(account) {
            let notification = self.fresh_id("N");
            let update = NodeBuilder::new("update").attr("op_name", operation).bytes(content.clone().into_bytes());
            let node = NodeBuilder::new("notification")
                .attr("type", "mex")
                .attr("from", "s.whatsapp.net")
                .attr("id", notification.as_str())
                .attr("t", self.now().to_string())
                .children([update.build()])
                .build();
            self.notify_device(account, device, "", notification, node);
        }
        shown
    }

    /// As one account sees it. Numbers are texts, times are seconds or, of texts, microseconds.
    fn show_channel(&self, channel: &Channel, account: &PhoneNumber) -> Value {
        let text = |text: &ChannelText| json!({"id": text.set.to_string(), "text": text.text, "update_time": format!("{}000000", text.set)});
        let picture = |preview: bool| {
            let picture = channel.picture.as_ref();
            let path = picture.map(|picture| if preview { &picture.preview_path } else { &picture.path });
            let kind = if preview { "PREVIEW" } else { "IMAGE" };
            json!({"id": picture.map(|picture| &picture.id), "type": kind, "direct_path": path})
        };
        let is_muted = channel.muted.contains(account);
        json!({
            "id": channel.jid().to_string(),
            "state": {"type": "active"},
            "thread_metadata": {
                "creation_time": channel.created.to_string(),
                "name": text(&channel.name),
                "description": text(&channel.description),
                "handle": null,
                "invite": channel.invite,
                "picture": picture(false),
                "preview": picture(true),
                "settings": {"reaction_codes": {"value": "ALL"}},
                "subscribers_count": channel.followers.len().to_string(),
                "verification": "UNVERIFIED",
            },
            "viewer_metadata": {"mute": if is_muted { "on" } else { "off" }, "role": channel.role(account).name()},
        })
    }
}

/// Whether WhatsApp takes these texts of a channel.
pub fn are_good_texts(name: &str, description: &str) -> bool {
    check_texts(&json!({"name": name, "description": description})).is_ok()
}

fn check_texts(texts: &Value) -> Result<(), GraphqlError> {
    let is_good = |field: &str, least: usize, most: usize| match &texts[field] {
        Value::Null => true,
        Value::String(text) => (least..=most).contains(&text.chars().count()),
        _ => false,
    };
    if is_good("name", 1, MAX_NAME) && is_good("description", 0, MAX_DESCRIPTION) {
        Ok(())
    } else {
        Err(GraphqlError::BAD)
    }
}

fn followers(channel: &Channel) -> Value {
    let edges: Vec<Value> = channel
        .followers
        .iter()
        .take(MAX_LISTED)
        .map(|number| json!({"node": {"id": number.lid_jid(0).to_string()}, "role": channel.role(number).name()}))
        .collect();
    json!({"subscribers": {"edges": edges}})
}
