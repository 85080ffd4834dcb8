//! The message that an event is about, whichever of our events it is: who, where, when and what.

use crate::delivery::format::{event_view::EventView, fields::JsonFields};
use serde_json::Value;

/// A message, or what refers to one.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    pub id: &'a str,
    /// The chat's JID.
    pub chat: &'a str,
    /// Who wrote, in a group.
    pub participant: Option<&'a str>,
    pub from_me: bool,
    pub push_name: Option<&'a str>,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Our `messageType`.
    pub kind: &'a str,
    /// Our `content`.
    pub content: JsonFields<'a>,
    pub data: JsonFields<'a>,
}

impl<'a> MessageView<'a> {
    /// None if it lacks an id or a chat: nothing can be told about it then.
    pub fn of(source: &EventView<'a>) -> Option<Self> {
        let data = source.data;
        // Of `message.received` the chat is `from`, of `message.sent` it is `to`.
        let chat = data.address(&["from", "to", "chat"])?;
        Some(Self {
            // `messageId` is the message that a reaction, an edit, … is about.
            id: data.first_text(&["reactionId", "editId", "revokeId", "voteId", "messageId"])?,
            chat,
            participant: data
                .address(&["participant"])
                .filter(|_| chat.ends_with("@g.us") || chat.ends_with("@broadcast")),
            from_me: data.get("fromMe").map_or(source.kind == "message.sent", |_| data.is_true("fromMe")),
            push_name: data.within("sender").first_text(&["pushName"]),
            seconds: data.seconds("timestamp").unwrap_or_else(|| source.seconds()),
            kind: data.text("messageType").unwrap_or("unknown"),
            content: data.within("content"),
            data,
        })
    }

    /// A field of the received media: it is part of the content.
    pub fn media(&self, name: &str) -> Option<&'a str> {
        self.content.first_text(&[name])
    }

    /// What the message says of its file.
    pub fn about_file(&self) -> JsonFields<'a> {
        self.data.within("media")
    }

    /// The message that this one answers.
    pub fn reply(&self) -> Option<JsonFields<'a>> {
        self.data.get("reply").map(JsonFields)
    }

    /// What the answered message held, as a message.
    pub fn quoted(&self) -> Option<Self> {
        let reply = self.reply()?;
        let quoted = reply.get("quoted").map(JsonFields)?;
        Some(Self {
            id: reply.first_text(&["messageId"])?,
            kind: quoted.text("messageType")?,
            content: quoted.within("content"),
            // Of its file and of what it answers nothing is known.
            data: JsonFields(&Value::Null),
            ..*self
        })
    }

    pub fn mimetype(&self) -> Option<&'a str> {
        self.content.first_text(&["mimetype", "mimeType"])
    }

    pub fn file_name(&self) -> Option<&'a str> {
        self.content.first_text(&["fileName", "filename"])
    }

    pub fn caption(&self) -> Option<&'a str> {
        self.content.first_text(&["caption"]).or(self.about_file().first_text(&["caption"]))
    }

    /// Whether its kind has a file.
    pub fn has_media(&self) -> bool {
        matches!(self.kind, "image" | "video" | "audio" | "document" | "sticker")
    }

    /// What a person reads of it.
    pub fn text(&self) -> Option<&'a str> {
        match self.kind {
            "poll" | "event" => self.content.first_text(&["name"]),
            "list_reply" | "product" => self.content.first_text(&["title"]),
            "order" => self.content.first_text(&["message", "title"]),
            _ => self.content.first_text(&["text"]).or(self.caption()),
        }
    }

    /// The link to its file, as others can use it.
    pub fn link(&self, source: &EventView<'_>) -> Option<String> {
        self.media("downloadUrl").map(|path| source.link(path))
    }
}

/// How far a sent message came. The names are those of WhatsApp's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckLevel {
    Server,
    Delivered,
    Read,
    Played,
}

impl AckLevel {
    pub fn of(data: JsonFields<'_>) -> Option<Self> {
        match data.text("status")? {
            "server" => Some(Self::Server),
            "delivered" => Some(Self::Delivered),
            "read" => Some(Self::Read),
            "played" => Some(Self::Played),
            _ => None,
        }
    }
}

/// The message that a reaction, an edit or a deletion is about.
///
/// No event says outright whether this account wrote it. It is known if this account acts, or in a direct chat: there
/// it is whoever the chat is not. In a group another's reaction to our message counts as one to somebody's.
pub fn target<'a>(message: &MessageView<'a>) -> MessageView<'a> {
    let data = message.data;
    let id = data.first_text(&["messageId"]).unwrap_or(message.id);
    let edits = data.get("editId").is_some();
    let deletes_own = data.get("revokeId").is_some() && !data.is_true("byAdmin");
    let Some(writer) = data.address(&["messageAuthor"]) else {
        // Only the writer himself edits, and he deletes unless it was an administrator.
        let is_the_writers = edits || deletes_own;
        let participant = message.participant.filter(|_| is_the_writers);
        return MessageView { id, participant, from_me: is_the_writers && message.from_me, ..*message };
    };
    let acts_himself = data.address(&["author"]) == Some(writer);
    let is_direct = message.participant.is_none();
    let from_me = if acts_himself { message.from_me } else { is_direct && !message.from_me };
    MessageView { id, participant: message.participant.map(|_| writer), from_me, ..*message }
}

/// The emoji of a reaction; empty if it was taken back.
pub fn reaction<'a>(message: &MessageView<'a>) -> &'a str {
    message.data.text("emoji").unwrap_or_default()
}
