//! The message that an event is about: who, where, when and what.

use crate::delivery::format::{event_view::EventView, fields::JsonFields};
use serde_json::Value;
use std::borrow::Cow;

/// A message, or something that refers to one.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    pub id: &'a str,
    /// The chat's JID.
    pub chat: &'a str,
    /// The writer, in a group.
    pub participant: Option<&'a str>,
    pub from_me: bool,
    pub push_name: Option<&'a str>,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Kurir's `messageType`.
    pub kind: &'a str,
    /// Kurir's `content`.
    pub content: JsonFields<'a>,
    pub data: JsonFields<'a>,
}

impl<'a> MessageView<'a> {
    /// None if it has no id or no chat: then there is nothing to tell.
    pub fn parse(source: &EventView<'a>) -> Option<Self> {
        let data = source.data;
        // In `message.received` the chat is `from`, in `message.sent` it is `to`.
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

    /// A field of the received media, which is part of the content.
    pub fn media(&self, name: &str) -> Option<&'a str> {
        self.content.first_text(&[name])
    }

    /// What the message says about its file.
    pub fn about_file(&self) -> JsonFields<'a> {
        self.data.within("media")
    }

    /// The message that this one answers.
    pub fn reply(&self) -> Option<JsonFields<'a>> {
        self.data.get("reply").map(JsonFields)
    }

    /// The content of the answered message, as a message.
    pub fn quoted(&self) -> Option<Self> {
        let reply = self.reply()?;
        let quoted = reply.get("quoted").map(JsonFields)?;
        Some(Self {
            id: reply.first_text(&["messageId"])?,
            kind: quoted.text("messageType")?,
            content: quoted.within("content"),
            // Nothing is known of its file or of what it answers.
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

    /// Whether the file is a document, which has a name.
    pub fn is_document(&self) -> bool {
        self.kind == "document" || self.content.text("fileKind") == Some("document")
    }

    pub fn caption(&self) -> Option<&'a str> {
        self.content.first_text(&["caption"]).or(self.about_file().first_text(&["caption"]))
    }

    /// Whether the message has a file.
    pub fn has_media(&self) -> bool {
        match self.kind {
            "image" | "video" | "audio" | "document" | "sticker" => true,
            "interactive" | "template" | "buttons" | "list" | "product" => self.mimetype().is_some(),
            _ => false,
        }
    }

    /// The text that a person reads. It holds the one-time code that a button copies.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let text = match self.kind {
            "poll" | "event" => self.content.first_text(&["name"]),
            "list_reply" => self.content.first_text(&["title"]),
            "product" => self.content.first_text(&["title", "text"]),
            "order" => self.content.first_text(&["message", "title"]),
            "poll_option" => self.content.first_text(&["option"]),
            "event_response" => self.content.first_text(&["response"]),
            "interactive" | "template" | "buttons" | "list" => return self.card_text(),
            _ => self.content.first_text(&["text"]).or(self.caption()),
        };
        text.map(Cow::Borrowed)
    }

    fn card_text(&self) -> Option<Cow<'a, str>> {
        let text = self.content.first_text(&["text", "title"]).unwrap_or_default();
        let codes = self.content.list("buttons").filter_map(|button| JsonFields(button).first_text(&["copyCode"]));
        let mut whole = Cow::Borrowed(text);
        for code in codes.filter(|code| !text.contains(code)) {
            let owned = whole.to_mut();
            if !owned.is_empty() {
                owned.push('\n');
            }
            owned.push_str(code);
        }
        Some(whole).filter(|whole| !whole.is_empty())
    }

    /// The link to the file, for others to use.
    pub fn link(&self, source: &EventView<'_>) -> Option<String> {
        self.media("downloadUrl").map(|path| source.link(path))
    }
}

/// How far a sent message has come. The names are those of WhatsApp's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckLevel {
    Server,
    Delivered,
    Read,
    Played,
}

impl AckLevel {
    pub fn parse(data: JsonFields<'_>) -> Option<Self> {
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
/// No event says directly whether this account wrote that message. It is known if this account acts, and in a direct
/// chat. In a group, a reaction of somebody else to our message counts as one to a message of others.
pub fn target<'a>(message: &MessageView<'a>) -> MessageView<'a> {
    let data = message.data;
    let id = data.first_text(&["messageId"]).unwrap_or(message.id);
    let edits = data.get("editId").is_some();
    let deletes_own = data.get("revokeId").is_some() && !data.is_true("byAdmin");
    let Some(writer) = data.address(&["messageAuthor"]) else {
        // Only the writer edits a message. The writer deletes it, unless an administrator did.
        let is_the_writers = edits || deletes_own;
        let participant = message.participant.filter(|_| is_the_writers);
        return MessageView { id, participant, from_me: is_the_writers && message.from_me, ..*message };
    };
    let acts_himself = data.address(&["author"]) == Some(writer);
    let is_direct = message.participant.is_none();
    let from_me = if acts_himself { message.from_me } else { is_direct && !message.from_me };
    MessageView { id, participant: message.participant.map(|_| writer), from_me, ..*message }
}

/// The emoji of a reaction; empty if the reaction was removed.
pub fn reaction<'a>(message: &MessageView<'a>) -> &'a str {
    message.data.text("emoji").unwrap_or_default()
}
