//! Messages in channels: in the clear, from nobody in particular, to every client of every follower. No phone encrypted
//! them, so none gives one once more. Clients write, change and delete them, react, count as viewers, page through them,
//! and follow reactions and views for a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::Result;
use buffa::Message as _;
use wacore_binary::{Node, NodeRef, Server, builder::NodeBuilder};
use waproto::whatsapp::Message;

use super::{
    iq::IqReply,
    message_kind,
    node::{attribute, children, jid},
    outbound::SendError,
};
use crate::{
    channels::{Channel, ChannelMessage},
    connection::ConnectionId,
    phone_number::PhoneNumber,
    state::ServerState,
};

/// For how long a client gets the reactions and views of a channel after it asked for them.
const LIVE_FOR: Duration = Duration::from_secs(300);
/// Channels whose reactions and views one connection gets.
const MAX_LIVE: usize = 100;
/// Messages of one page, if the client names no number, and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 300;
/// The nack for a message for which a server has no room.
const NO_ROOM: u16 = 500;
/// Of `edit`: an administrator changes, or deletes, a message.
const CHANGED: &str = "3";
const DELETED: &str = "8";

/// How a message reaches the followers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Posting {
    New,
    Changed,
    Deleted,
}

impl ServerState {
    /// Somebody who is no client writes: the channel's owner, or nobody in a channel that nobody made.
    pub fn say_in_channel(&mut self, channel: &str, id: &str, message: &Message) -> Result<u64, SendError> {
        let now = self.now();
        let has_followers = match self.channels.get(channel) {
            Some(known) => !self.channel_devices(&known.id).is_empty(),
            // Everybody follows it.
            None => self.people.accounts().any(|person| !person.companions.is_empty()),
        };
        if !has_followers {
            return Err(SendError::Conflict("no account that follows the channel has a companion".to_owned()));
        }
        let channel = self.channels.meet(channel, now).map_err(|error| SendError::Full(error.to_string()))?;
        let author = channel.owner.clone();
        let kind = message_kind::kind(message);
        let message = ChannelMessage {
            id: id.to_owned(),
            server_id: 0,
            at: now,
            author,
            stanza_type: kind.stanza_type.to_owned(),
            media_type: kind.mediatype.map(str::to_owned),
            plaintext: message.encode_to_vec(),
            edited_ms: None,
            reactions: BTreeMap::new(),
            viewers: BTreeSet::new(),
        };
        let channel_id = channel.id.clone();
        let full = || SendError::Full("the messages of all channels have no room".to_owned());
        self.add_to_channel(&channel_id, message, None).ok_or_else(full)
    }

    /// A client's message to a channel. Gives its number there, or the number of the nack.
    pub(super) fn on_channel_message(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        stanza: &NodeRef<'_>,
    ) -> Result<Option<u64>, u16> {
        let (to, id) = (jid(stanza, "to").ok_or(400_u16)?, attribute(stanza, "id").ok_or(400_u16)?);
        let now = self.now();
        let channel = self.channels.get_mut(&to.user).ok_or(404_u16)?;
        let (channel_id, role) = (channel.id.clone(), channel.role(number));
        self.dirty = true;
        if let Some(reaction) = stanza.get_optional_child("reaction") {
            if !channel.is_followed_by(number) {
                return Err(403);
            }
            let server_id = attribute(stanza, "server_id").and_then(|id| id.parse().ok()).ok_or(400_u16)?;
            let message = channel.by_server_id(server_id).filter(|message| !message.is_deleted()).ok_or(404_u16)?;
            match attribute(reaction, "code").filter(|code| !code.is_empty()) {
                Some(code) => message.reactions.insert(number.clone(), code),
                None => message.reactions.remove(number),
            };
            self.tell_live(&channel_id, server_id);
            return Ok(None);
        }
        if !role.may_write() {
            return Err(403);
        }
        let body = stanza.get_optional_child("plaintext").ok_or(400_u16)?;
        let plaintext = body.content_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        let is_readable = !plaintext.is_empty() && Message::decode_from_slice(&plaintext).is_ok();
        let edit = attribute(stanza, "edit");
        if let Some(edit @ (CHANGED | DELETED)) = edit.as_deref() {
            let message = channel.by_id(&id).filter(|message| !message.is_deleted()).ok_or(404_u16)?;
            let posting = if edit == DELETED { Posting::Deleted } else { Posting::Changed };
            if posting == Posting::Changed && !is_readable {
                return Err(400);
            }
            message.plaintext = if posting == Posting::Deleted { Vec::new() } else { plaintext };
            message.edited_ms = Some(now * 1_000);
            let message = message.clone();
            self.post_in_channel(&channel_id, &message, posting, Some((number, device)));
            return Ok(Some(message.server_id));
        }
        if !is_readable {
            return Err(400);
        }
        match channel.by_id(&id) {
            // A client that saw no answer sends it again.
            Some(sent) if sent.author.as_ref() == Some(number) => return Ok(Some(sent.server_id)),
            Some(_) => return Err(400),
            None => {}
        }
        let message = ChannelMessage {
            id,
            server_id: 0,
            at: now,
            author: Some(number.clone()),
            stanza_type: attribute(stanza, "type").unwrap_or_else(|| "text".to_owned()),
            media_type: attribute(body, "mediatype"),
            plaintext,
            edited_ms: None,
            reactions: BTreeMap::new(),
            viewers: BTreeSet::new(),
        };
        self.add_to_channel(&channel_id, message, Some((number, device))).map(Some).ok_or(NO_ROOM)
    }

    /// None if there is no room.
    fn add_to_channel(
        &mut self,
        channel: &str,
        message: ChannelMessage,
        writer: Option<(&PhoneNumber, u16)>,
    ) -> Option<u64> {
        let server_id = self.channels.add_message(channel, message.clone())?;
        self.dirty = true;
        self.post_in_channel(channel, &ChannelMessage { server_id, ..message }, Posting::New, writer);
        Some(server_id)
    }

    /// Every device that sees what is written in a channel.
    fn channel_devices(&self, channel: &str) -> Vec<(PhoneNumber, u16)> {
        let Some(channel) = self.channels.get(channel) else { return Vec::new() };
        let followers = self.people.accounts().filter(|person| channel.is_followed_by(&person.number));
        followers.flat_map(|person| person.companions.keys().map(|device| (person.number.clone(), *device))).collect()
    }

    /// To every companion of every follower but the one that wrote it.
    fn post_in_channel(
        &mut self,
        channel: &str,
        message: &ChannelMessage,
        posting: Posting,
        writer: Option<(&PhoneNumber, u16)>,
    ) {
        for (number, device) in self.channel_devices(channel) {
            if writer == Some((&number, device)) {
                continue;
            }
            let Some(of) = self.channels.get(channel) else { return };
            let node = posted(of, message, posting, &number);
            if let Err(error) = self.post_node(&number, device, &message.id, channel, node, None) {
                tracing::warn!("{number} device {device} does not get a message of a channel: {error:#}");
            }
        }
    }

    /// What a client asks for in the namespace `newsletter`.
    pub(super) fn on_channel_iq(
        &mut self,
        connection: ConnectionId,
        number: &PhoneNumber,
        kind: &str,
        iq: &NodeRef<'_>,
    ) -> IqReply {
        let Some(asked) = iq.children().and_then(|children| children.first()) else {
            return IqReply::refused(400, "bad-request");
        };
        // Some clients name the channel inside, by its address or its invitation.
        let named = jid(asked, "jid").or_else(|| jid(iq, "to")).filter(|jid| jid.server == Server::Newsletter);
        let channel = match (named, attribute(asked, "key")) {
            (Some(jid), _) => self.channels.get(&jid.user),
            (None, Some(code)) => self.channels.invited_by(&code),
            (None, None) => None,
        };
        let Some(channel) = channel else { return IqReply::refused(404, "item-not-found") };
        match (kind, asked.tag.as_ref()) {
            ("set", "live_updates") => {
                let id = channel.id.clone();
                self.follow_live(connection, id)
            }
            ("get", "messages") => IqReply::one(page(channel, asked, number)),
            ("get", "message_updates") => {
                let since = attribute(asked, "after").and_then(|after| after.parse().ok()).unwrap_or(0);
                let changed = channel.messages().filter(|message| message.server_id > since);
                let nodes = changed.take(count(asked)).map(|message| counters(message).build());
                let messages = NodeBuilder::new("messages").attr("jid", channel.jid()).children(nodes).build();
                IqReply::one(NodeBuilder::new("message_updates").children([messages]).build())
            }
            (_, tag) => {
                let tag = tag.to_owned();
                self.unknown("newsletter", &tag)
            }
        }
    }

    fn follow_live(&mut self, connection: ConnectionId, channel: String) -> IqReply {
        let now = Instant::now();
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.live_channels.retain(|_, until| *until > now);
            if connection.live_channels.len() >= MAX_LIVE && !connection.live_channels.contains_key(&channel) {
                return IqReply::refused(419, "resource-limit");
            }
            connection.live_channels.insert(channel, now + LIVE_FOR);
        }
        let answer = NodeBuilder::new("live_updates").attr("duration", LIVE_FOR.as_secs().to_string());
        IqReply::one(answer.build())
    }

    /// A client has shown messages of a channel to its user.
    pub(super) fn on_channel_views(&mut self, number: &PhoneNumber, stanza: &NodeRef<'_>) {
        let Some(to) = jid(stanza, "to") else { return };
        let list = stanza.get_optional_child("list");
        let items = list.into_iter().flat_map(|list| children(list, "item"));
        for server_id in items.filter_map(|item| attribute(item, "server_id")?.parse().ok()) {
            let channel = self.channels.get_mut(&to.user);
            let message = channel.and_then(|channel| channel.by_server_id(server_id));
            if message.is_some_and(|message| message.viewers.insert(number.clone())) {
                self.dirty = true;
                self.tell_live(&to.user, server_id);
            }
        }
    }

    /// Reactions and views of a message have changed.
    fn tell_live(&mut self, channel: &str, server_id: u64) {
        let now = Instant::now();
        let Some(of) = self.channels.get_mut(channel) else { return };
        let jid = of.jid();
        let Some(message) = of.by_server_id(server_id).map(|message| counters(message).build()) else { return };
        let told: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.live_channels.get(channel).is_some_and(|until| now < *until))
            .map(|(id, _)| *id)
            .collect();
        for connection in told {
            let id = self.fresh_id("N");
            let t = self.now().to_string();
            let messages = NodeBuilder::new("messages").attr("jid", jid.clone()).attr("t", t.clone());
            let live =
                NodeBuilder::new("live_updates").children([messages.children([message.clone()]).build()]).build();
            let node = NodeBuilder::new("notification")
                .attr("type", "newsletter")
                .attr("from", jid.clone())
                .attr("id", id)
                .attr("t", t)
                .children([live])
                .build();
            self.send(connection, node);
        }
    }
}

fn posted(channel: &Channel, message: &ChannelMessage, posting: Posting, receiver: &PhoneNumber) -> Node {
    let mut node = NodeBuilder::new("message")
        .attr("from", channel.jid())
        .attr("id", message.id.as_str())
        .attr("server_id", message.server_id.to_string())
        .attr("t", message.at.to_string())
        .attr("type", message.stanza_type.as_str());
    if message.author.as_ref() == Some(receiver) {
        node = node.attr("is_sender", "true");
    }
    let mut inside = vec![plaintext(message)];
    if posting != Posting::New {
        node = node.attr("edit", if posting == Posting::Deleted { DELETED } else { CHANGED });
        let meta = NodeBuilder::new("meta").attr("original_msg_t", message.at.to_string());
        inside.push(meta.attr("msg_edit_t", message.edited_ms.unwrap_or_default().to_string()).build());
    }
    node.children(inside).build()
}

fn plaintext(message: &ChannelMessage) -> Node {
    let node = NodeBuilder::new("plaintext");
    match &message.media_type {
        Some(kind) => node.attr("mediatype", kind.as_str()),
        None => node,
    }
    .bytes(message.plaintext.clone())
    .build()
}

/// What others did with a message.
fn counters(message: &ChannelMessage) -> NodeBuilder {
    let reactions = message
        .reaction_counts()
        .into_iter()
        .map(|(code, count)| NodeBuilder::new("reaction").attr("code", code).attr("count", count.to_string()).build());
    NodeBuilder::new("message")
        .attr("id", message.id.as_str())
        .attr("server_id", message.server_id.to_string())
        .attr("t", message.at.to_string())
        .attr("type", if message.is_deleted() { "revoke" } else { &message.stanza_type })
        .children([
            NodeBuilder::new("views_count").attr("count", message.viewers.len().to_string()).build(),
            NodeBuilder::new("reactions").children(reactions).build(),
        ])
}

fn count(asked: &NodeRef<'_>) -> usize {
    attribute(asked, "count").and_then(|count| count.parse().ok()).unwrap_or(PAGE).min(MAX_PAGE)
}

/// The newest messages before a number, or the oldest after one; in the order of their numbers.
fn page(channel: &Channel, asked: &NodeRef<'_>, reader: &PhoneNumber) -> Node {
    let bound = |name: &str| attribute(asked, name).and_then(|id| id.parse::<u64>().ok());
    let (before, after) = (bound("before").unwrap_or(u64::MAX), bound("after"));
    let fits = channel.messages().filter(|message| message.server_id < before);
    let mut chosen: Vec<&ChannelMessage> = match after {
        Some(after) => fits.filter(|message| message.server_id > after).take(count(asked)).collect(),
        None => fits.rev().take(count(asked)).collect(),
    };
    chosen.sort_by_key(|message| message.server_id);
    let nodes = chosen.into_iter().map(|message| {
        let mut node = counters(message).build();
        if message.author.as_ref() == Some(reader) {
            node.attrs.insert("is_sender", "true");
        }
        if let (false, Some(wacore_binary::NodeContent::Nodes(inside))) = (message.is_deleted(), &mut node.content) {
            inside.push(plaintext(message));
        }
        node
    });
    let t = channel.messages().next_back().map_or(channel.created, |message| message.at);
    NodeBuilder::new("messages").attr("jid", channel.jid()).attr("t", t.to_string()).children(nodes).build()
}
