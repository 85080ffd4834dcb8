//! Makes the command of a file that is to be sent, out of the fields of its request. Pure; it checks the fields in the
//! contract's order.

use crate::{
    conversion::Conversion,
    error_code::ErrorCode,
    fields::{Field, FieldError, FieldValue, Recipient, SendOptions, checked_optional, inline_schema},
    file_type::{detect_type, settle_type},
    response::ApiError,
    routes::whatsapp::send_request::RequestedSend,
    uploads::StoredFile,
};
use kurir_contract::command::{FilePreview, IdempotencyKey, MediaKind, SendMedia, spec};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// In UTF-16 code units, as the longest text; the apps fold what is longer than they like.
const LONGEST_CAPTION: usize = 4096;
/// As file systems have it.
const LONGEST_NAME: usize = 255;
const LONGEST_MIMETYPE: usize = 100;
/// The kinds that `send-media` knows, as it always did.
const OF_SEND_MEDIA: [MediaKind; 4] = [MediaKind::Image, MediaKind::Video, MediaKind::Audio, MediaKind::Document];
/// What programs say that do not know a file's type.
const UNKNOWN: &str = "application/octet-stream";

/// The fields beside the file. A form knows only texts, so flags and options come as texts too.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaFields {
    to: Field<Recipient>,
    /// What the file is sent as: required by `send-media`, and only there.
    #[schemars(with = "Option<Field<MediaTypeField>>")]
    media_type: Field<MediaTypeField>,
    /// The type of the file; by default as the upload names it.
    mimetype: Option<Field<MimetypeField>>,
    caption: Option<Field<Caption>>,
    /// The name that the recipient sees of a document.
    file_name: Option<Field<FileNameField>>,
    /// An image, a video or an audio file that can be opened once.
    view_once: Option<Field<FormFlag>>,
    /// A video that plays by itself, in a loop and without sound.
    gif_playback: Option<Field<FormFlag>>,
    /// As of `send-message`; in a form a text of JSON.
    options: Option<Field<FormOptions>>,
}

struct MediaTypeField(MediaKind);

struct MimetypeField(Option<String>);

struct Caption(Option<String>);

struct FileNameField(Option<String>);

struct FormFlag(bool);

struct FormOptions(SendOptions);

/// The command of a file, and what has to be done with the file before.
pub type MediaToSend = (RequestedSend<spec::SendMedia>, Option<Conversion>);

/// Makes the command. `kind` is that of the route; the request names it where the route has none.
///
/// # Errors
/// With the contract's text for the first wrong field.
pub fn read_media_command(
    fields: MediaFields,
    kind: Option<MediaKind>,
    kept: Option<&StoredFile>,
    idempotency_key: Option<IdempotencyKey>,
) -> Result<MediaToSend, ApiError> {
    let Recipient(to) = fields.to.checked("to", ErrorCode::InvalidRecipient)?;
    let kept = kept.ok_or_else(|| ApiError::new(ErrorCode::MissingMedia, "Media file is required"))?;
    let is_named_by_upload = kind.is_some();
    let kind = match kind {
        Some(kind) => kind,
        None => fields.media_type.checked("mediaType", ErrorCode::InvalidMediaType)?.0,
    };
    let given = checked_optional(fields.mimetype, "mimetype", ErrorCode::InvalidMimetype)?;
    let (mimetype, conversion) = choose_mimetype(given.and_then(|MimetypeField(given)| given), kind, kept)?;
    let caption = checked_optional(fields.caption, "caption", ErrorCode::InvalidMedia)?;
    let named = checked_optional(fields.file_name, "fileName", ErrorCode::InvalidMedia)?;
    let takes_view_once = kind != MediaKind::Document && kind != MediaKind::Sticker;
    let view_once = read_flag(fields.view_once, "viewOnce", takes_view_once)?;
    let gif_playback = read_flag(fields.gif_playback, "gifPlayback", kind == MediaKind::Video)?;
    let options = checked_optional(fields.options, "options", ErrorCode::InvalidOptions)?;
    let mut options = options.map(|FormOptions(options)| options).unwrap_or_default();
    let ((quoted, quote), at) = (options.quoted_with_quote()?, options.send_at()?);
    // `send-media` never named a file's own name, and calls a document `document.pdf`, whatever it is.
    let own_name = if is_named_by_upload { kept.name.clone() } else { Some("document.pdf".to_owned()) };
    let own_name = own_name.filter(|_| kind == MediaKind::Document);
    let message = SendMedia {
        to: to.clone(),
        kind,
        file: kept.file.clone(),
        mimetype,
        caption: caption.and_then(|Caption(caption)| caption).unwrap_or_default(),
        file_name: named.and_then(|FileNameField(name)| name).or(own_name),
        view_once,
        gif_playback,
        preview: FilePreview::default(),
        quoted,
        quote,
        idempotency_key,
    };
    Ok((RequestedSend { to, message, at }, conversion))
}

/// The type under which the file goes out: the caller's, the upload's or that of the kind, and corrected by what is in it;
/// and what has to be done before.
fn choose_mimetype(
    given: Option<String>,
    kind: MediaKind,
    kept: &StoredFile,
) -> Result<(String, Option<Conversion>), ApiError> {
    let invalid = |text: String| ApiError::new(ErrorCode::InvalidMimetype, text);
    let of_file = kept.mimetype.as_deref().filter(|of_file| kind == MediaKind::Document || *of_file != UNKNOWN);
    let label = given.as_deref().or(of_file).unwrap_or(default_of(kind));
    let is_one = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if label.len() > LONGEST_MIMETYPE || !label.contains('/') || !label.bytes().all(is_one) {
        return Err(invalid("mimetype must be a type of file, as image/jpeg".to_owned()));
    }
    let refused = |mimetype: &str| {
        invalid(format!("A file of the type {mimetype} cannot be sent as {kind}, which takes {}", kind.types()))
    };
    let detected = detect_type(&kept.begins);
    if let Some(conversion) = detected.and_then(|detected| Conversion::needed(kind, detected)) {
        return Ok((default_of(kind).to_owned(), Some(conversion)));
    }
    let mimetype = settle_type(kind, label, detected).map_err(refused)?;
    if !kind.takes(&mimetype) {
        return Err(refused(&mimetype));
    }
    if kind == MediaKind::Sticker && detected != Some("image/webp") {
        return Err(invalid("A sticker must be a WebP image".to_owned()));
    }
    if kind == MediaKind::Voice && detected.is_some_and(|detected| detected != default_of(kind)) {
        let is = detected.unwrap_or_default();
        return Err(invalid(format!("A voice note must be sound in Ogg with Opus, and this file is {is}")));
    }
    // The apps play a voice note only if its type says how it is coded.
    let is_bare = kind == MediaKind::Voice && mimetype.eq_ignore_ascii_case("audio/ogg");
    Ok((if is_bare { default_of(kind).to_owned() } else { mimetype }, None))
}

fn default_of(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Video | MediaKind::Round => "video/mp4",
        MediaKind::Audio => "audio/mp4",
        MediaKind::Voice => "audio/ogg; codecs=opus",
        MediaKind::Document => "application/pdf",
        MediaKind::Sticker => "image/webp",
    }
}

/// False if the flag is missing; true only if it fits the kind.
fn read_flag(flag: Option<Field<FormFlag>>, name: &str, fits: bool) -> Result<bool, ApiError> {
    let flag = checked_optional(flag, name, ErrorCode::InvalidMedia)?.is_some_and(|FormFlag(flag)| flag);
    if flag && !fits {
        let kinds = if name == "gifPlayback" { "a video" } else { "an image, a video or an audio file" };
        return Err(ApiError::new(ErrorCode::InvalidMedia, format!("{name} is for {kinds}")));
    }
    Ok(flag)
}

impl FieldValue for MediaTypeField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let kind = given.as_str().and_then(|name| name.trim().parse().ok());
        kind.filter(|kind| OF_SEND_MEDIA.contains(kind)).map(Self).ok_or_else(|| {
            let text = "Invalid media type. Allowed types: image, video, audio, document";
            FieldError::sentence(ErrorCode::InvalidMediaType, text)
        })
    }
}

impl FieldValue for MimetypeField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let given = given.as_str().ok_or_else(|| FieldError::predicate("must be a string, as image/jpeg"))?;
        Ok(Self(Some(given.trim().to_owned()).filter(|given| !given.is_empty())))
    }
}

/// None if the text is empty.
fn read_text(given: &Value, longest: usize) -> Option<Option<String>> {
    let text = given.as_str().filter(|text| text.encode_utf16().count() <= longest)?;
    Some(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
}

impl FieldValue for Caption {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let text = || FieldError::predicate(format!("must be a string of at most {LONGEST_CAPTION} characters"));
        read_text(given, LONGEST_CAPTION).map(Self).ok_or_else(text)
    }
}

impl FieldValue for FileNameField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let name = read_text(given, LONGEST_NAME);
        let is_one_line = |name: &Option<String>| !name.as_ref().is_some_and(|name| name.contains(char::is_control));
        name.filter(is_one_line).map(Self).ok_or_else(|| {
            FieldError::predicate(format!("must be a string of at most {LONGEST_NAME} characters on one line"))
        })
    }
}

impl FieldValue for FormFlag {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let flag = given.as_bool().or_else(|| given.as_str().and_then(|flag| flag.trim().parse().ok()));
        flag.map(Self).ok_or_else(|| FieldError::predicate("must be true or false"))
    }
}

impl FieldValue for FormOptions {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        match given {
            // What is no JSON is no object either, and is refused as the text that it is.
            Value::String(text) => SendOptions::parse(&serde_json::from_str(text).unwrap_or_else(|_| given.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                SendOptions::parse(given)
            }
        }
        .map(Self)
    }
}

inline_schema!(MediaTypeField, |_| json_schema!({"type": "string", "enum": ["image", "video", "audio", "document"]}));
inline_schema!(
    MimetypeField,
    |_| json_schema!({"type": "string", "maxLength": LONGEST_MIMETYPE, "examples": ["image/jpeg"]})
);
inline_schema!(Caption, |_| json_schema!({"type": "string", "maxLength": LONGEST_CAPTION}));
inline_schema!(FileNameField, |_| json_schema!({"type": "string", "maxLength": LONGEST_NAME}));
inline_schema!(FormFlag, |_| json_schema!({"type": ["boolean", "string"], "enum": [true, false, "true", "false"]}));
inline_schema!(
    FormOptions,
    |generator| json_schema!({"anyOf": [generator.subschema_for::<SendOptions>(), {"type": "string"}]})
);

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::command::FileToSend;
    use serde_json::json;

    fn kept(mimetype: Option<&str>, begins: &[u8]) -> StoredFile {
        let file = FileToSend { object: "a".to_owned(), received: false, size: Some(3), sha256: Some("01".to_owned()) };
        let (mimetype, name) = (mimetype.map(str::to_owned), Some("bill.xlsx".to_owned()));
        StoredFile { file, begins: begins.to_vec(), mimetype, name }
    }

    fn read_of(fields: Value, kind: Option<MediaKind>, kept: &StoredFile) -> Result<SendMedia, String> {
        let mut all = json!({"to": "6281234567890"});
        for (name, value) in fields.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let fields = serde_json::from_value(all).expect("reading never fails");
        read_media_command(fields, kind, Some(kept), None)
            .map(|(sent, _)| sent.message)
            .map_err(|failure| failure.message.into_owned())
    }

    #[test]
    fn the_type_is_the_files_own_or_that_of_the_kind() {
        for (kind, own, given, expected) in [
            (MediaKind::Image, None, json!(null), "image/jpeg"),
            (MediaKind::Image, Some("image/png"), json!(null), "image/png"),
            (MediaKind::Image, Some("application/octet-stream"), json!(null), "image/jpeg"),
            (MediaKind::Video, Some("image/png"), json!("video/webm"), "video/webm"),
            (MediaKind::Audio, None, json!(""), "audio/mp4"),
            (MediaKind::Voice, Some("audio/ogg"), json!(null), "audio/ogg; codecs=opus"),
            (MediaKind::Document, Some("application/octet-stream"), json!(null), "application/octet-stream"),
            (MediaKind::Document, None, json!(null), "application/pdf"),
            (MediaKind::Sticker, None, json!(null), "image/webp"),
        ] {
            let begins: &[u8] = if kind == MediaKind::Sticker { b"RIFF\0\0\0\0WEBP" } else { b"" };
            let media = read_of(json!({"mimetype": given}), Some(kind), &kept(own, begins)).expect("it fits");
            assert_eq!(media.mimetype, expected, "{kind} {own:?} {given}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_is_right() {
        let one = kept(Some("image/png"), b"\x89PNG\r\n\x1a\n\0\0\0\r");
        let image = Some(MediaKind::Image);
        let types = "Invalid media type. Allowed types: image, video, audio, document";
        for (fields, kind, message) in [
            (json!({}), None, types),
            (json!({"mediaType": "sticker"}), None, types),
            (
                json!({"mediaType": "video"}),
                None,
                "A file of the type image/png cannot be sent as video, which takes video/…",
            ),
            (json!({"mimetype": 7}), image, "mimetype must be a string, as image/jpeg"),
            (json!({"mimetype": "image"}), image, "mimetype must be a type of file, as image/jpeg"),
            (json!({"caption": "x".repeat(4097)}), image, "caption must be a string of at most 4096 characters"),
            (json!({"fileName": "a\nb"}), image, "fileName must be a string of at most 255 characters on one line"),
            (json!({"gifPlayback": true}), image, "gifPlayback is for a video"),
            (json!({"viewOnce": "perhaps"}), image, "viewOnce must be true or false"),
            (json!({"options": "quoted"}), image, "options must be an object"),
        ] {
            assert_eq!(read_of(fields.clone(), kind, &one), Err(message.to_owned()), "{fields}");
        }
        let pdf = kept(None, b"%PDF-1.4");
        let refused = "A file of the type application/pdf cannot be sent as sticker, which takes image/webp";
        assert_eq!(read_of(json!({}), Some(MediaKind::Sticker), &pdf), Err(refused.to_owned()));
    }

    #[test]
    fn sound_and_pictures_of_other_formats_are_converted() {
        let converted = |kind: MediaKind, begins: &[u8]| {
            let fields = serde_json::from_value(json!({"to": "6281234567890"})).expect("reading never fails");
            let read = read_media_command(fields, Some(kind), Some(&kept(Some("text/plain"), begins)), None);
            let (sent, conversion) = read.map_err(|failure| failure.message).expect("it fits");
            (sent.message.mimetype, conversion.is_some())
        };
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\r";
        assert_eq!(converted(MediaKind::Sticker, png), ("image/webp".to_owned(), true));
        assert_eq!(converted(MediaKind::Sticker, b"RIFF\0\0\0\0WEBP"), ("image/webp".to_owned(), false));
        assert_eq!(converted(MediaKind::Voice, b"ID3\x03"), ("audio/ogg; codecs=opus".to_owned(), true));
    }

    #[test]
    fn the_recipient_comes_before_the_file_and_the_file_before_its_type() {
        let refused = |fields: Value| {
            let fields = serde_json::from_value(fields).expect("reading never fails");
            read_media_command(fields, None, None, None).err().map(|failure| failure.message.into_owned())
        };
        assert_eq!(refused(json!({})).as_deref(), Some("Phone number is required"));
        assert_eq!(refused(json!({"to": "6281234567890"})).as_deref(), Some("Media file is required"));
    }

    #[test]
    fn names_flags_and_replies_come_along() {
        let one = kept(Some("video/mp4"), b"");
        let fields =
            json!({"viewOnce": "true", "gifPlayback": true, "options": "{\"quoted\":\"3EB0\"}", "caption": "sea"});
        let video = read_of(fields, Some(MediaKind::Video), &one).expect("a video");
        assert_eq!((video.view_once, video.gif_playback, video.quoted.as_deref()), (true, true, Some("3EB0")));
        assert_eq!((video.caption.as_str(), video.file_name), ("sea", None));
        let document =
            read_of(json!({"options": {"quoted": "3EB1"}}), Some(MediaKind::Document), &one).expect("a document");
        assert_eq!((document.file_name.as_deref(), document.quoted.as_deref()), (Some("bill.xlsx"), Some("3EB1")));
        let of_old = read_of(json!({"mediaType": "document"}), None, &one).expect("a document");
        assert_eq!(of_old.file_name.as_deref(), Some("document.pdf"));
    }
}
