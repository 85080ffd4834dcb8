//! What a contact is told to write, as JSON, and the WhatsApp message that it becomes.
//! Media are encrypted and put into the store as a phone would do it.

use std::sync::Arc;

use axum::body::Bytes;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::MessageField;
use wacore::{download::MediaType, upload::encrypt_media};
use waproto::whatsapp::{
    ContextInfo, Message,
    message::{
        AudioMessage, ContactMessage, DocumentMessage, ImageMessage, LocationMessage, ReactionMessage, StickerMessage,
        VideoMessage,
    },
};

use super::new_message::required;
use super::{
    new_message::{FileFault, MessageKind, NewMessage, SendingContact},
    response::{ApiError, ApiResult},
};
use crate::media_store::{MediaStore, OriginalFile};

/// The largest file that is made here.
const MAX_SIZE: usize = 120_000_000;

/// What encryption adds to a media message.
struct EncryptedFile {
    url: Option<String>,
    direct_path: Option<String>,
    media_key: Option<Vec<u8>>,
    file_sha256: Option<Vec<u8>>,
    file_enc_sha256: Option<Vec<u8>>,
    file_length: Option<u64>,
}

impl NewMessage {
    /// The message that `speaker` sends.
    pub fn message(&self, store: &Arc<MediaStore>, speaker: SendingContact<'_>) -> ApiResult<Message> {
        Ok(self.wrapped(self.with_secret(self.content(store, speaker)?)))
    }

    fn content(&self, store: &Arc<MediaStore>, speaker: SendingContact<'_>) -> ApiResult<Message> {
        let mimetype = |default: &str| Some(self.mimetype.clone().unwrap_or(default.to_owned()));
        let mut message = Message::default();
        match self.kind {
            MessageKind::Text => self.text_into(&mut message)?,
            MessageKind::Image => {
                let media = self.encrypt(store, MediaType::Image, "image")?;
                message.image_message = MessageField::some(ImageMessage {
                    url: media.url,
                    direct_path: media.direct_path,
                    media_key: media.media_key,
                    file_sha256: media.file_sha256,
                    file_enc_sha256: media.file_enc_sha256,
                    file_length: media.file_length,
                    mimetype: mimetype("image/jpeg"),
                    caption: self.caption.clone(),
                    context_info: self.context_field(),
                    ..Default::default()
                });
            }
            MessageKind::Video => {
                let media = self.encrypt(store, MediaType::Video, "video")?;
                let video = MessageField::some(VideoMessage {
                    url: media.url,
                    direct_path: media.direct_path,
                    media_key: media.media_key,
                    file_sha256: media.file_sha256,
                    file_enc_sha256: media.file_enc_sha256,
                    file_length: media.file_length,
                    mimetype: mimetype("video/mp4"),
                    caption: self.caption.clone(),
                    seconds: self.seconds,
                    context_info: self.context_field(),
                    ..Default::default()
                });
                if self.round == Some(true) {
                    message.ptv_message = video;
                } else {
                    message.video_message = video;
                }
            }
            MessageKind::Audio => {
                let media = self.encrypt(store, MediaType::Audio, "audio")?;
                message.audio_message = MessageField::some(AudioMessage {
                    url: media.url,
                    direct_path: media.direct_path,
                    media_key: media.media_key,
                    file_sha256: media.file_sha256,
                    file_enc_sha256: media.file_enc_sha256,
                    file_length: media.file_length,
                    mimetype: mimetype("audio/ogg; codecs=opus"),
                    ptt: self.ptt,
                    seconds: self.seconds,
                    context_info: self.context_field(),
                    ..Default::default()
                });
            }
            MessageKind::Document => {
                let media = self.encrypt(store, MediaType::Document, "document")?;
                message.document_message = MessageField::some(DocumentMessage {
                    url: media.url,
                    direct_path: media.direct_path,
                    media_key: media.media_key,
                    file_sha256: media.file_sha256,
                    file_enc_sha256: media.file_enc_sha256,
                    file_length: media.file_length,
                    mimetype: mimetype("application/pdf"),
                    caption: self.caption.clone(),
                    file_name: self.file_name.clone(),
                    context_info: self.context_field(),
                    ..Default::default()
                });
            }
            MessageKind::Sticker => {
                let media = self.encrypt(store, MediaType::Sticker, "sticker")?;
                message.sticker_message = MessageField::some(StickerMessage {
                    url: media.url,
                    direct_path: media.direct_path,
                    media_key: media.media_key,
                    file_sha256: media.file_sha256,
                    file_enc_sha256: media.file_enc_sha256,
                    file_length: media.file_length,
                    mimetype: mimetype("image/webp"),
                    context_info: self.context_field(),
                    ..Default::default()
                });
            }
            MessageKind::Location => {
                message.location_message = MessageField::some(LocationMessage {
                    degrees_latitude: Some(required(self.latitude, "latitude")?),
                    degrees_longitude: Some(required(self.longitude, "longitude")?),
                    name: self.name.clone(),
                    address: self.address.clone(),
                    ..Default::default()
                });
            }
            MessageKind::Contact => {
                message.contact_message = MessageField::some(ContactMessage {
                    display_name: Some(required(self.display_name.clone(), "displayName")?),
                    vcard: Some(required(self.vcard.clone(), "vcard")?),
                    ..Default::default()
                });
            }
            MessageKind::Reaction => {
                // Of the other's message, if nobody is named.
                let author = self.target_author.as_ref().or(speaker.to);
                let target = required(self.target.as_deref(), "target")?;
                message.reaction_message = MessageField::some(ReactionMessage {
                    key: MessageField::some(self.key(target, author, speaker)),
                    text: Some(required(self.text.clone(), "text")?),
                    ..Default::default()
                });
            }
            MessageKind::Contacts
            | MessageKind::LiveLocation
            | MessageKind::Poll
            | MessageKind::Vote
            | MessageKind::ListReply
            | MessageKind::ButtonReply
            | MessageKind::Edit
            | MessageKind::Revoke
            | MessageKind::Raw => message = self.talk(speaker)?,
        }
        Ok(message)
    }

    fn context_field(&self) -> MessageField<ContextInfo> {
        self.context().map(MessageField::some).unwrap_or_default()
    }

    fn bytes(&self) -> ApiResult<Vec<u8>> {
        match self.size {
            // Less than 251 is a byte.
            Some(size) if size <= MAX_SIZE => Ok((0..size).map(|n| (n % 251) as u8).collect()),
            Some(_) => Err(ApiError::bad(format!("`size` is at most {MAX_SIZE}"))),
            None => BASE64_STANDARD
                .decode(required(self.base64.as_deref(), "base64")?)
                .map_err(|error| ApiError::bad(format!("`base64` is not base64: {error}"))),
        }
    }

    fn encrypt(&self, store: &MediaStore, media: MediaType, kind: &'static str) -> ApiResult<EncryptedFile> {
        let mut bytes = self.bytes()?;
        let sealed = encrypt_media(&bytes, media).map_err(ApiError::from)?;
        let original = Bytes::from(sealed.data_to_upload);
        let direct_path = if self.fault == Some(FileFault::Corrupted) {
            let mut damaged = original.to_vec();
            damaged[0] ^= 1;
            store.put(kind, damaged.into())
        } else {
            store.put(kind, original.clone())
        };
        if self.fault == Some(FileFault::Gone) {
            store.remove(&direct_path);
        }
        if self.fault == Some(FileFault::Stalled) {
            store.stall(&direct_path);
        }
        if let Some(url) = &self.redirect_to {
            store.redirect(&direct_path, url);
        }
        if let Some(rate) = self.bytes_per_second {
            store.slow_down(&direct_path, rate);
        }
        if self.fault.is_some() || self.reupload.is_some() {
            let (media_key, answer) = (sealed.media_key.to_vec(), self.reupload.unwrap_or_default());
            store.remember(OriginalFile { media_key, kind, sealed: original, answer });
        }
        if self.fault == Some(FileFault::Longer) {
            bytes.pop();
        }
        Ok(EncryptedFile {
            url: Some(store.url(&direct_path)),
            direct_path: Some(direct_path),
            media_key: Some(sealed.media_key.to_vec()),
            file_sha256: Some(sealed.file_sha256.to_vec()),
            file_enc_sha256: Some(sealed.file_enc_sha256.to_vec()),
            file_length: Some(bytes.len() as u64),
        })
    }
}
