//! The message that an event is about, whichever of our events it is: who, where, when and what.

use super::{Source, fields::Fields};

/// A message, or what refers to one.
#[derive(Clone, Copy)]
pub struct Message<'a> {
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
    pub content: Fields<'a>,
    pub data: Fields<'a>,
}

impl<'a> Message<'a> {
    /// None if it lacks an id or a chat: nothing can be told about it then.
    pub fn of(source: &Source<'a>) -> Option<Self> {
        let data = source.data;
        // Of `message.received` the chat is `from`, of `message.sent` it is `to`.
        let chat = data.first_text(&["from", "to", "chat", "chatId"])?;
        Some(Self {
            id: data.first_text(&["messageId", "id"])?,
            chat,
            participant: data.first_text(&["participant"]).filter(|_| chat.ends_with("@g.us")),
            from_me: data.is_true("fromMe") || source.kind == "message.sent",
            push_name: data.within("sender").first_text(&["pushName"]).or(data.first_text(&["pushName"])),
            seconds: data.seconds("timestamp").unwrap_or_else(|| source.seconds()),
            kind: data.text("messageType").unwrap_or("unknown"),
            content: data.within("content"),
            data,
        })
    }

    /// A field of the received media: it is part of the content.
    pub fn media(&self, name: &str) -> Option<&'a str> {
        self.content.first_text(&[name]).or(self.data.first_text(&[name]))
    }

    pub fn mimetype(&self) -> Option<&'a str> {
        self.content.first_text(&["mimetype", "mimeType"])
    }

    pub fn file_name(&self) -> Option<&'a str> {
        self.content.first_text(&["fileName", "filename"])
    }

    /// Whether its kind has a file.
    pub fn has_media(&self) -> bool {
        matches!(self.kind, "image" | "video" | "audio" | "document" | "sticker")
    }

    /// What a person reads of it.
    pub fn text(&self) -> Option<&'a str> {
        self.content.first_text(&["text", "caption"])
    }

    /// The link to its file, as others can use it.
    pub fn link(&self, source: &Source<'_>) -> Option<String> {
        self.media("downloadUrl").map(|path| source.link(path))
    }
}

impl Source<'_> {
    /// When the event was made, in seconds since 1970; 0 if it does not say.
    pub fn seconds(&self) -> i64 {
        self.milliseconds().div_euclid(1000)
    }

    pub fn milliseconds(&self) -> i64 {
        super::fields::iso_milliseconds(self.timestamp).unwrap_or_default()
    }
}

/// How far a sent message came. The names are those of WhatsApp's receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    Server,
    Delivered,
    Read,
    Played,
}

impl Ack {
    pub fn of(data: Fields<'_>) -> Option<Self> {
        match data.first_text(&["ack", "status", "receipt"])?.to_ascii_lowercase().as_str() {
            "server" | "sent" => Some(Self::Server),
            "delivered" | "delivery" | "device" => Some(Self::Delivered),
            "read" => Some(Self::Read),
            "played" => Some(Self::Played),
            _ => None,
        }
    }
}

/// The id of the message that an edit or a revocation is about.
pub fn target<'a>(message: &Message<'a>) -> &'a str {
    message.data.first_text(&["targetMessageId", "targetId"]).unwrap_or(message.id)
}

/// The message that a reaction is about. Who wrote it is told only if it is known: not he who reacts.
pub fn reacted_to<'a>(message: &Message<'a>) -> Message<'a> {
    Message {
        id: target(message),
        participant: message.data.first_text(&["targetParticipant", "targetSender"]),
        from_me: message.data.is_true("targetFromMe"),
        ..*message
    }
}

/// The emoji of a reaction; empty if it was taken back.
pub fn reaction<'a>(message: &Message<'a>) -> &'a str {
    ["reaction", "emoji", "text"].into_iter().find_map(|name| message.data.text(name)).unwrap_or_default()
}
