//! What a message says about its file: the address, the keys and the length.

use crate::{
    inbound::content::{
        business::{HeaderFile, header_file},
        unwrap_message,
    },
    session::whatsapp_hosts::{WhatsappHosts, is_path},
};
use wacore::download::{Downloadable, MediaType};
use waproto::whatsapp::Message;

/// The description of a message's file. It does not borrow from the message, which may be gone when the file is
/// downloaded.
#[derive(Clone, Debug)]
pub struct MediaPart {
    pub direct_path: Option<String>,
    static_url: Option<String>,
    pub media_key: Option<Vec<u8>>,
    file_sha256: Option<Vec<u8>>,
    file_enc_sha256: Option<Vec<u8>>,
    pub length: Option<u64>,
    kind: MediaType,
}

impl MediaPart {
    /// The file in a message, if there is one.
    #[must_use]
    pub fn from_message(message: &Message) -> Option<Self> {
        let message = unwrap_message(message).message;
        let part: &dyn Downloadable = if let Some(image) = message.image_message.as_option() {
            image
        } else if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
            video
        } else if let Some(audio) = message.audio_message.as_option() {
            audio
        } else if let Some(document) = message.document_message.as_option() {
            document
        } else if let Some(sticker) = message.sticker_message.as_option() {
            sticker
        } else {
            match header_file(message)? {
                HeaderFile::Image(image) => image,
                HeaderFile::Video(video) => video,
                HeaderFile::Document(document) => document,
            }
        };
        Some(Self {
            direct_path: part.direct_path().map(str::to_owned),
            static_url: part.static_url().map(str::to_owned),
            media_key: part.media_key().map(<[u8]>::to_vec),
            file_sha256: part.file_sha256().map(<[u8]>::to_vec),
            file_enc_sha256: part.file_enc_sha256().map(<[u8]>::to_vec),
            length: part.file_length().filter(|length| *length > 0),
            kind: part.app_info(),
        })
    }

    /// The same part as a file that is not encrypted, which its checksum shows to be whole. None if it has no key, or no
    /// checksum. Files of channels are not encrypted, also if an app writes a key next to them.
    #[must_use]
    pub fn without_key(&self) -> Option<Self> {
        self.media_key.as_ref()?;
        self.file_sha256.as_ref()?;
        Some(Self { media_key: None, file_enc_sha256: None, ..self.clone() })
    }

    /// The same part without the addresses that do not lead to WhatsApp. None if no address is left.
    #[must_use]
    pub fn at_whatsapp(&self, hosts: &WhatsappHosts) -> Option<Self> {
        let direct_path = self.direct_path.clone().filter(|path| is_path(path));
        let static_url = self.static_url.clone().filter(|url| hosts.check_url(url).is_ok());
        let has_place = direct_path.is_some() || static_url.is_some();
        has_place.then(|| Self { direct_path, static_url, ..self.clone() })
    }
}

impl Downloadable for MediaPart {
    fn direct_path(&self) -> Option<&str> {
        self.direct_path.as_deref()
    }

    fn media_key(&self) -> Option<&[u8]> {
        self.media_key.as_deref()
    }

    fn file_enc_sha256(&self) -> Option<&[u8]> {
        self.file_enc_sha256.as_deref()
    }

    fn file_sha256(&self) -> Option<&[u8]> {
        self.file_sha256.as_deref()
    }

    fn file_length(&self) -> Option<u64> {
        self.length
    }

    fn app_info(&self) -> MediaType {
        self.kind
    }

    fn static_url(&self) -> Option<&str> {
        self.static_url.as_deref()
    }
}
