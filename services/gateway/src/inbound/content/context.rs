//! The context of a message: its quote, the people it mentions, how it may be shown. Pure.

use super::{
    UnwrappedMessage,
    business::{HeaderFile, header_file},
    content_of,
    mentions::{self, mentioned_people},
    origin::source_context,
    relation::related_message,
};
use crate::inbound::addresses::AddressDirectory;
use kurir_contract::event::{LinkPreview, MediaInfo, MessageContext, QuotedMessage};
use wacore_binary::Jid;
use waproto::whatsapp::{ContextInfo, Message};

/// The context of a message. `expires_after`: the seconds that its envelope says.
#[must_use]
pub fn context_of(
    opened: UnwrappedMessage<'_>,
    expires_after: Option<u32>,
    directory: &AddressDirectory,
) -> MessageContext {
    let UnwrappedMessage { message, view_once, .. } = opened;
    let info = context_info(message);
    MessageContext {
        reply: info.and_then(|info| quoted_message(info, directory)),
        mentions: info
            .map(|info| mentioned_people(info).map(|jid| directory.canonical_address(&jid)).collect())
            .unwrap_or_default(),
        mentioned: info.map(|info| mentions::mentions(opened, info, directory)).unwrap_or_default(),
        mentions_all: info.and_then(|info| info.non_jid_mentions).is_some_and(|mentions| mentions > 0),
        related: related_message(opened, info),
        context: source_context(info),
        raw: None,
        forwarded: info.and_then(|info| info.is_forwarded).unwrap_or_default(),
        forwarding_score: info.and_then(|info| info.forwarding_score).unwrap_or_default(),
        view_once: view_once || is_view_once(message),
        expires_after: info.and_then(|info| info.expiration).or(expires_after).filter(|seconds| *seconds > 0),
        link_preview: link_preview(message),
        media: media_info(message),
    }
}

/// The people in the context besides the message's own chat and sender. They are looked up.
pub fn referenced_people(opened: UnwrappedMessage<'_>) -> Vec<Jid> {
    let Some(info) = context_info(opened.message) else { return Vec::new() };
    let author = info.participant.as_deref().and_then(|author| author.parse().ok());
    mentioned_people(info).chain(author).collect()
}

/// The fields of the context that hold fewer than the message does.
#[must_use]
pub fn cut_fields(opened: UnwrappedMessage<'_>) -> Vec<String> {
    if context_info(opened.message).is_some_and(mentions::has_more) {
        vec!["mentioned".to_owned(), "mentions".to_owned()]
    } else {
        Vec::new()
    }
}

/// Each kind of message keeps its context in a field of its own.
fn context_info(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first_of {
        ($($kind:ident),* $(,)?) => {
            None$(.or_else(|| message.$kind.as_option().and_then(|kind| kind.context_info.as_option())))*
        };
    }
    first_of!(
        extended_text_message,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        contact_message,
        contacts_array_message,
        location_message,
        live_location_message,
        group_invite_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        poll_creation_message_v5,
        poll_creation_message_v6,
        event_message,
        album_message,
        list_response_message,
        buttons_response_message,
        template_button_reply_message,
        interactive_response_message,
        product_message,
        order_message,
        list_message,
        buttons_message,
        template_message,
        interactive_message,
    )
}

fn quoted_message(info: &ContextInfo, directory: &AddressDirectory) -> Option<QuotedMessage> {
    let message_id = info.stanza_id.clone().filter(|id| !id.is_empty())?;
    let address = |jid: &Option<String>| Some(directory.canonical_address(&jid.as_deref()?.parse().ok()?));
    Some(QuotedMessage {
        message_id,
        author: address(&info.participant),
        chat: address(&info.remote_jid),
        quoted: info.quoted_message.as_option().and_then(content_of),
    })
}

fn is_view_once(message: &Message) -> bool {
    let image = message.image_message.as_option().and_then(|image| image.view_once);
    let video = message.video_message.as_option().and_then(|video| video.view_once);
    let audio = message.audio_message.as_option().and_then(|audio| audio.view_once);
    image.or(video).or(audio).unwrap_or_default()
}

fn link_preview(message: &Message) -> Option<LinkPreview> {
    let text = message.extended_text_message.as_option()?;
    let url = text.matched_text.clone().filter(|url| !url.is_empty())?;
    let (title, description) = (text.title.clone(), text.description.clone());
    Some(LinkPreview { url, title: title.unwrap_or_default(), description: description.unwrap_or_default() })
}

fn media_info(message: &Message) -> Option<MediaInfo> {
    let none = MediaInfo::default();
    let header = header_file(message);
    let (header_image, header_video, header_document) = match header {
        Some(HeaderFile::Image(image)) => (Some(image), None, None),
        Some(HeaderFile::Video(video)) => (None, Some(video), None),
        Some(HeaderFile::Document(document)) => (None, None, Some(document)),
        None => (None, None, None),
    };
    if let Some(image) = message.image_message.as_option().or(header_image) {
        return Some(MediaInfo { width: image.width, height: image.height, bytes: image.file_length, ..none });
    }
    let round = message.ptv_message.as_option();
    if let Some(video) = message.video_message.as_option().or(round).or(header_video) {
        return Some(MediaInfo {
            round: round.is_some(),
            gif: video.gif_playback.unwrap_or_default(),
            seconds: video.seconds,
            width: video.width,
            height: video.height,
            bytes: video.file_length,
            ..none
        });
    }
    if let Some(audio) = message.audio_message.as_option() {
        let voice_note = audio.ptt.unwrap_or_default();
        return Some(MediaInfo { voice_note, seconds: audio.seconds, bytes: audio.file_length, ..none });
    }
    if let Some(document) = message.document_message.as_option().or(header_document) {
        let caption = document.caption.clone().filter(|caption| !caption.is_empty());
        return Some(MediaInfo { bytes: document.file_length, caption, ..none });
    }
    let sticker = message.sticker_message.as_option()?;
    Some(MediaInfo {
        animated: sticker.is_animated.unwrap_or_default(),
        width: sticker.width,
        height: sticker.height,
        bytes: sticker.file_length,
        ..none
    })
}
