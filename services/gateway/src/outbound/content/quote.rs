//! The quote in a reply: the id, the author and the content of the message that is answered.

use buffa::MessageField;
use kurir_contract::command::{ForwardedContent, ForwardedFile, Quote};
use wacore_binary::Jid;
use waproto::whatsapp::{
    ContextInfo, Message,
    message::{
        AudioMessage, ContactMessage, DocumentMessage, ImageMessage, LocationMessage, StickerMessage, VideoMessage,
    },
};

/// Stands for the account's own address in a message that is not sent yet: only the client knows it.
pub const OWN_ADDRESS: &str = "me";

/// The quote in a reply; unset if the message is no reply.
pub fn quote_context(quoted: Option<&str>, quote: Option<&Quote>, chat: &Jid) -> MessageField<ContextInfo> {
    let Some(quoted) = quoted else { return MessageField::default() };
    let author = quote.and_then(|quote| match quote.from_me {
        true => Some(OWN_ADDRESS.to_owned()),
        false => quote.author.as_ref().map(ToString::to_string),
    });
    // In a direct chat a reply is nearly always to the other person. In a group only the app itself knows who wrote the
    // quoted message.
    let participant = author.or_else(|| (chat.is_pn() || chat.is_lid()).then(|| chat.to_non_ad().to_string()));
    let content = quote.and_then(|quote| quote.content.as_ref()).map(quoted_message);
    let content = content.unwrap_or_else(|| Message { conversation: Some(String::new()), ..Message::default() });
    MessageField::some(ContextInfo {
        stanza_id: Some(quoted.to_owned()),
        participant,
        quoted_message: MessageField::some(content),
        ..ContextInfo::default()
    })
}

/// The quoted content, without files: the apps that have the message show its picture themselves.
fn quoted_message(content: &ForwardedContent) -> Message {
    let mut message = Message::default();
    let caption = |file: &ForwardedFile| file.caption.clone().filter(|caption| !caption.is_empty());
    match content {
        ForwardedContent::Text { text } => message.conversation = Some(text.clone()),
        ForwardedContent::Location { latitude, longitude, name, address } => {
            message.location_message = MessageField::some(LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: Some(name.clone()).filter(|name| !name.is_empty()),
                address: Some(address.clone()).filter(|address| !address.is_empty()),
                ..LocationMessage::default()
            });
        }
        ForwardedContent::Contact { display_name, vcard } => {
            message.contact_message = MessageField::some(ContactMessage {
                display_name: Some(display_name.clone()),
                vcard: Some(vcard.clone()),
                ..ContactMessage::default()
            });
        }
        ForwardedContent::Image(file) => {
            let mimetype = Some(file.mimetype.clone());
            let image = ImageMessage { mimetype, caption: caption(file), ..ImageMessage::default() };
            message.image_message = MessageField::some(image);
        }
        ForwardedContent::Video(file) => {
            let mimetype = Some(file.mimetype.clone());
            let video = VideoMessage { mimetype, caption: caption(file), ..VideoMessage::default() };
            message.video_message = MessageField::some(video);
        }
        ForwardedContent::Audio(file) => {
            let mimetype = Some(file.mimetype.clone());
            message.audio_message = MessageField::some(AudioMessage { mimetype, ..AudioMessage::default() });
        }
        ForwardedContent::Document(file) => {
            message.document_message = MessageField::some(DocumentMessage {
                mimetype: Some(file.mimetype.clone()),
                caption: caption(file),
                title: file.file_name.clone(),
                file_name: file.file_name.clone(),
                ..DocumentMessage::default()
            });
        }
        ForwardedContent::Sticker(file) => {
            let mimetype = Some(file.mimetype.clone());
            message.sticker_message = MessageField::some(StickerMessage { mimetype, ..StickerMessage::default() });
        }
    }
    message
}

/// The context of a message's content, whatever it is.
pub fn context_mut(message: &mut Message) -> Option<&mut ContextInfo> {
    macro_rules! first_of {
        ($($field:ident)+) => {
            $(if let Some(content) = message.$field.as_option_mut() {
                return content.context_info.as_option_mut();
            })+
        };
    }
    first_of!(extended_text_message image_message video_message ptv_message audio_message document_message sticker_message
        location_message contact_message);
    None
}
