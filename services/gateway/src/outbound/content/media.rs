//! A message with a file, which is complete after the upload, and the content of its event.

use super::{
    message::{FileAttachment, MessageToSend, parse_jid},
    quote::quote_context,
};
use buffa::MessageField;
use kurir_contract::{
    command::{Base64Bytes, CommandError, FilePreview, MediaKind, SendMedia},
    event::{Caption, MessageContent},
    media,
};
use wacore::download::MediaType;
use waproto::whatsapp::{
    Message,
    message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage},
};
use whatsapp_rust::upload::UploadResponse;

/// # Errors
/// If the file cannot be sent as this kind.
pub fn build_media(request: SendMedia) -> Result<MessageToSend, CommandError> {
    let kind = request.kind;
    if !kind.takes(&request.mimetype) {
        return Err(CommandError::invalid(format!(
            "{} cannot be sent as {kind}, which takes {}",
            request.mimetype,
            kind.types()
        )));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let message = media_message(&request, quote_context(request.quoted.as_deref(), request.quote.as_ref(), &jid));
    let content = media_content(&request);
    let SendMedia { to, file, idempotency_key: key, .. } = request;
    let attachment = Some(FileAttachment { kind, file, content });
    Ok(MessageToSend { to, jid, message, attachment, key, fingerprint })
}

/// The message without the file's address and keys.
fn media_message(request: &SendMedia, context_info: MessageField<waproto::whatsapp::ContextInfo>) -> Message {
    let mimetype = Some(request.mimetype.clone());
    let FilePreview { width, height, seconds, thumbnail, waveform, animated } = request.preview.clone();
    let jpeg_thumbnail = thumbnail.map(|Base64Bytes(bytes)| bytes);
    let caption = Some(request.caption.clone()).filter(|caption| !caption.is_empty());
    let file_length = request.file.size;
    let view_once = request.view_once.then_some(true);
    let mut message = Message::default();
    match request.kind {
        MediaKind::Image => {
            message.image_message = MessageField::some(ImageMessage {
                mimetype,
                caption,
                file_length,
                width,
                height,
                jpeg_thumbnail,
                view_once,
                context_info,
                ..ImageMessage::default()
            });
        }
        MediaKind::Video => {
            let gif_playback = request.gif_playback.then_some(true);
            message.video_message = MessageField::some(VideoMessage {
                mimetype,
                caption,
                file_length,
                seconds,
                width,
                height,
                jpeg_thumbnail,
                view_once,
                gif_playback,
                context_info,
                ..VideoMessage::default()
            });
        }
        MediaKind::Round => {
            message.ptv_message = MessageField::some(VideoMessage {
                mimetype,
                caption,
                file_length,
                seconds,
                width,
                height,
                jpeg_thumbnail,
                context_info,
                ..VideoMessage::default()
            });
        }
        MediaKind::Audio | MediaKind::Voice => {
            let ptt = Some(request.kind == MediaKind::Voice);
            message.audio_message = MessageField::some(AudioMessage {
                mimetype,
                ptt,
                file_length,
                seconds,
                waveform: waveform.map(|Base64Bytes(bytes)| bytes),
                view_once,
                context_info,
                ..AudioMessage::default()
            });
        }
        MediaKind::Document => {
            let file_name = Some(document_name(request));
            message.document_message = MessageField::some(DocumentMessage {
                mimetype,
                caption,
                title: file_name.clone(),
                file_name,
                file_length,
                jpeg_thumbnail,
                context_info,
                ..DocumentMessage::default()
            });
        }
        MediaKind::Sticker => {
            message.sticker_message = MessageField::some(StickerMessage {
                mimetype,
                file_length,
                width,
                height,
                is_animated: animated.then_some(true),
                context_info,
                ..StickerMessage::default()
            });
        }
    }
    message
}

/// With the API's names for files without a name.
fn media_content(request: &SendMedia) -> MessageContent {
    let (caption, mimetype) = (Caption::from(request.caption.clone()), request.mimetype.clone());
    let named = |default: &str| request.file_name.clone().unwrap_or_else(|| default.to_owned());
    match request.kind {
        MediaKind::Image => {
            MessageContent::Image { caption, mimetype, file_name: Some(named("media.jpg")), file: None }
        }
        MediaKind::Video | MediaKind::Round => {
            MessageContent::Video { caption, mimetype, file_name: Some(named("media.mp4")), file: None }
        }
        MediaKind::Audio | MediaKind::Voice => {
            MessageContent::Audio { caption: Some(caption), mimetype, file_name: Some(named("media.mp3")), file: None }
        }
        MediaKind::Document => {
            MessageContent::Document { caption: Some(caption), file_name: named("media.pdf"), mimetype, file: None }
        }
        MediaKind::Sticker => MessageContent::Sticker { mimetype, file: None },
    }
}

fn document_name(request: &SendMedia) -> String {
    // The apps show this name, and its end decides what opens the file.
    request.file_name.clone().unwrap_or_else(|| format!("document.{}", media::extension(&request.mimetype)))
}

impl FileAttachment {
    /// How the file is encrypted, and which of WhatsApp's servers take it.
    #[must_use]
    pub fn media_type(&self) -> MediaType {
        match self.kind {
            MediaKind::Image => MediaType::Image,
            MediaKind::Video | MediaKind::Round => MediaType::Video,
            MediaKind::Audio | MediaKind::Voice => MediaType::Audio,
            MediaKind::Document => MediaType::Document,
            MediaKind::Sticker => MediaType::Sticker,
        }
    }

    /// Writes the file's address and keys into a message.
    pub fn set_upload(&self, message: &mut Message, uploaded: &UploadResponse) {
        macro_rules! complete {
            ($field:ident) => {
                let file = message.$field.get_or_insert_default();
                file.url = Some(uploaded.url.clone());
                file.direct_path = Some(uploaded.direct_path.clone());
                file.media_key = Some(uploaded.media_key.to_vec());
                file.media_key_timestamp = Some(uploaded.media_key_timestamp);
                file.file_sha256 = Some(uploaded.file_sha256.to_vec());
                file.file_enc_sha256 = Some(uploaded.file_enc_sha256.to_vec());
                file.file_length = Some(uploaded.file_length);
            };
        }
        match self.kind {
            MediaKind::Image => {
                complete!(image_message);
            }
            MediaKind::Video => {
                complete!(video_message);
                message.video_message.get_or_insert_default().streaming_sidecar = uploaded.streaming_sidecar.clone();
            }
            MediaKind::Round => {
                complete!(ptv_message);
                message.ptv_message.get_or_insert_default().streaming_sidecar = uploaded.streaming_sidecar.clone();
            }
            MediaKind::Audio | MediaKind::Voice => {
                complete!(audio_message);
                message.audio_message.get_or_insert_default().streaming_sidecar = uploaded.streaming_sidecar.clone();
            }
            MediaKind::Document => {
                complete!(document_message);
            }
            MediaKind::Sticker => {
                complete!(sticker_message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(kind: MediaKind, mimetype: &str, more: Value) -> SendMedia {
        let mut request = json!({
            "to": "6281234567890@s.whatsapp.net",
            "kind": kind,
            "file": {"object": "a", "size": 3, "sha256": "01"},
            "mimetype": mimetype,
        });
        for (name, value) in more.as_object().expect("an object") {
            request[name] = value.clone();
        }
        serde_json::from_value(request).expect("a request")
    }

    #[test]
    fn each_kind_has_the_content_of_the_contract() {
        for (kind, mimetype, more, expected) in [
            (
                MediaKind::Image,
                "image/png",
                json!({"caption": "sea"}),
                json!({"messageType": "image", "content": {"caption": "sea", "text": "sea", "mimetype": "image/png", "fileName": "media.jpg"}}),
            ),
            (
                MediaKind::Video,
                "video/mp4",
                json!({"fileName": "a.mp4"}),
                json!({"messageType": "video", "content": {"caption": "", "mimetype": "video/mp4", "fileName": "a.mp4"}}),
            ),
            (
                MediaKind::Voice,
                "audio/ogg; codecs=opus",
                json!({}),
                json!({"messageType": "audio",
                    "content": {"caption": "", "mimetype": "audio/ogg; codecs=opus", "fileName": "media.mp3"}}),
            ),
            (
                MediaKind::Document,
                "application/pdf",
                json!({"caption": "bill"}),
                json!({"messageType": "document",
                    "content": {"caption": "bill", "text": "bill", "fileName": "media.pdf", "mimetype": "application/pdf"}}),
            ),
            (
                MediaKind::Sticker,
                "image/webp",
                json!({}),
                json!({"messageType": "sticker", "content": {"mimetype": "image/webp"}}),
            ),
        ] {
            let outgoing = build_media(request(kind, mimetype, more)).expect("sent as what it is");
            assert_eq!(serde_json::to_value(outgoing.attachment.expect("a file").content).expect("JSON"), expected);
        }
    }

    #[test]
    fn flags_and_names_are_in_the_message() {
        let video = build_media(request(MediaKind::Video, "video/mp4", json!({"viewOnce": true, "gifPlayback": true})));
        let video = video.expect("a video").message.video_message;
        assert_eq!((video.view_once, video.gif_playback, video.caption.clone()), (Some(true), Some(true), None));
        let voice = build_media(request(MediaKind::Voice, "audio/ogg", json!({}))).expect("a voice note").message;
        assert_eq!(voice.audio_message.ptt, Some(true));
        let document = build_media(request(MediaKind::Document, "text/csv", json!({}))).expect("a document").message;
        assert_eq!(document.document_message.file_name.as_deref(), Some("document.csv"));
    }

    #[test]
    fn a_file_of_another_type_is_refused() {
        let refused = build_media(request(MediaKind::Image, "video/mp4", json!({}))).err().expect("no image");
        assert_eq!(refused.message, "video/mp4 cannot be sent as image, which takes image/…");
    }
}
