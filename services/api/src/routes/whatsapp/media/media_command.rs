//! The command of a file that is to be sent, made of the fields beside it. Pure; checked in the order in which the texts
//! are promised.

use crate::{response::ApiError, uploads::StoredFile};
use kurir_contract::command::{IdempotencyKey, MediaKind, SendMedia};
use serde_json::{Map, Value, json};

use super::super::{parse_recipient, send_message::quoted};

/// In UTF-16 code units, as the longest text; the apps fold what is longer than they like.
const LONGEST_CAPTION: usize = 4096;
/// As file systems have it.
const LONGEST_NAME: usize = 255;
const LONGEST_MIMETYPE: usize = 100;
/// The kinds that `send-media` knows, as it always did.
const OF_SEND_MEDIA: [MediaKind; 4] = [MediaKind::Image, MediaKind::Video, MediaKind::Audio, MediaKind::Document];
/// What programs say that do not know a file's type.
const UNKNOWN: &str = "application/octet-stream";

/// `kind` is that of the route; the request says it where the route has none.
pub fn read(
    fields: &Map<String, Value>,
    kind: Option<MediaKind>,
    kept: Option<&StoredFile>,
    idempotency_key: Option<IdempotencyKey>,
) -> Result<SendMedia, ApiError> {
    let to = parse_recipient(fields.get("to"))?;
    let kept = kept.ok_or_else(|| ApiError::bad_request("missing_media", "Media file is required"))?;
    let is_named_by_upload = kind.is_some();
    let kind = kind.map_or_else(|| media_type(fields.get("mediaType")), Ok)?;
    let mimetype = mimetype(fields.get("mimetype"), kind, kept)?;
    let caption = text(fields, "caption", LONGEST_CAPTION, |_| true)?.unwrap_or_default();
    let named = text(fields, "fileName", LONGEST_NAME, |name| !name.contains(char::is_control))?;
    // `send-media` never told a file's own name, and calls a document `document.pdf`.
    let own_name = kept.name.clone().filter(|_| is_named_by_upload && kind == MediaKind::Document);
    let view_once = flag(fields, "viewOnce", kind != MediaKind::Document && kind != MediaKind::Sticker)?;
    let gif_playback = flag(fields, "gifPlayback", kind == MediaKind::Video)?;
    let quoted = reply(fields)?;
    let (file, file_name) = (kept.file.clone(), named.or(own_name));
    Ok(SendMedia { to, kind, file, mimetype, caption, file_name, view_once, gif_playback, quoted, idempotency_key })
}

fn media_type(given: Option<&Value>) -> Result<MediaKind, ApiError> {
    let kind = given.and_then(Value::as_str).and_then(|name| name.trim().parse().ok());
    kind.filter(|kind| OF_SEND_MEDIA.contains(kind)).ok_or_else(|| {
        let text = "Invalid media type. Allowed types: image, video, audio, document";
        ApiError::bad_request("invalid_media_type", text)
    })
}

fn mimetype(given: Option<&Value>, kind: MediaKind, kept: &StoredFile) -> Result<String, ApiError> {
    let invalid = |text: String| ApiError::bad_request("invalid_mimetype", text);
    let given = match given {
        None | Some(Value::Null) => None,
        Some(Value::String(given)) => Some(given.trim()).filter(|given| !given.is_empty()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid("mimetype must be a string, as image/jpeg".to_owned()));
        }
    };
    let of_file = kept.mimetype.as_deref().filter(|of_file| kind == MediaKind::Document || *of_file != UNKNOWN);
    let mimetype = given.or(of_file).unwrap_or(default_of(kind));
    let is_one = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if mimetype.len() > LONGEST_MIMETYPE || !mimetype.contains('/') || !mimetype.bytes().all(is_one) {
        return Err(invalid("mimetype must be a type of file, as image/jpeg".to_owned()));
    }
    if !kind.takes(mimetype) {
        return Err(invalid(format!(
            "A file of the type {mimetype} cannot be sent as {kind}, which takes {}",
            kind.types()
        )));
    }
    if kind == MediaKind::Sticker && !is_webp(kept) {
        return Err(invalid("A sticker must be a WebP image".to_owned()));
    }
    // The apps play a voice note only if its type says how it is coded.
    let is_bare = kind == MediaKind::Voice && mimetype.eq_ignore_ascii_case("audio/ogg");
    Ok(if is_bare { default_of(kind) } else { mimetype }.to_owned())
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

fn is_webp(kept: &StoredFile) -> bool {
    match (&kept.begins, &kept.name) {
        (Some(begins), _) => begins.starts_with(b"RIFF") && begins.get(8..12) == Some(b"WEBP"),
        // A received file is named by its type.
        (None, Some(name)) => name.ends_with(".webp"),
        (None, None) => false,
    }
}

/// None if it is missing or empty.
fn text(
    fields: &Map<String, Value>,
    name: &str,
    longest: usize,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<String>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.encode_utf16().count() <= longest && fits(text) => {
            Ok(Some(text.clone()).filter(|text| !text.trim().is_empty()))
        }
        Some(_) => {
            let line = if name == "fileName" { " on one line" } else { "" };
            let text = format!("{name} must be a string of at most {longest} characters{line}");
            Err(ApiError::bad_request("invalid_media", text))
        }
    }
}

/// A form knows only texts.
fn flag(fields: &Map<String, Value>, name: &str, fits: bool) -> Result<bool, ApiError> {
    let given = match fields.get(name) {
        None | Some(Value::Null) => Some(false),
        Some(Value::Bool(flag)) => Some(*flag),
        Some(Value::String(flag)) => flag.trim().parse().ok(),
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    match given {
        Some(true) if !fits => {
            let kinds = if name == "gifPlayback" { "a video" } else { "an image, a video or an audio file" };
            Err(ApiError::bad_request("invalid_media", format!("{name} is for {kinds}")))
        }
        Some(flag) => Ok(flag),
        None => Err(ApiError::bad_request("invalid_media", format!("{name} must be true or false"))),
    }
}

/// `quoted` alone, or `options` with it; a form has the latter as a text of JSON.
fn reply(fields: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    match (fields.get("quoted"), fields.get("options")) {
        (Some(id), _) if !id.is_null() => quoted(Some(&json!({"quoted": id}))),
        (_, Some(Value::String(options))) => {
            // What is no JSON is no object either, and is refused as the text that it is.
            let read = serde_json::from_str(options).unwrap_or_else(|_| Value::String(options.clone()));
            quoted(Some(&read))
        }
        (_, options) => quoted(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::command::FileToSend;

    fn kept(mimetype: Option<&str>, begins: &[u8]) -> StoredFile {
        let file = FileToSend { object: "a".to_owned(), received: false, size: Some(3), sha256: Some("01".to_owned()) };
        let (mimetype, name) = (mimetype.map(str::to_owned), Some("bill.xlsx".to_owned()));
        StoredFile { file, begins: Some(begins.to_vec()), mimetype, name }
    }

    fn read_of(fields: Value, kind: Option<MediaKind>, kept: &StoredFile) -> Result<SendMedia, String> {
        let mut all = json!({"to": "6281234567890"});
        for (name, value) in fields.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        read(all.as_object().expect("an object"), kind, Some(kept), None)
            .map_err(|failure| failure.message.into_owned())
    }

    #[test]
    fn the_type_is_the_files_own_or_that_of_the_kind() {
        let webp = b"RIFF\x00\x00\x00\x00WEBP";
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
            let media = read_of(json!({"mimetype": given}), Some(kind), &kept(own, webp)).expect("it fits");
            assert_eq!(media.mimetype, expected, "{kind} {own:?} {given}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_is_right() {
        let one = kept(Some("image/png"), b"\x89PNG\r\n\x1a\n\0\0\0\r");
        let (image, sticker) = (Some(MediaKind::Image), Some(MediaKind::Sticker));
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
            (json!({"mimetype": "image/webp"}), sticker, "A sticker must be a WebP image"),
            (json!({"caption": "x".repeat(4097)}), image, "caption must be a string of at most 4096 characters"),
            (json!({"fileName": "a\nb"}), image, "fileName must be a string of at most 255 characters on one line"),
            (json!({"gifPlayback": true}), image, "gifPlayback is for a video"),
            (json!({"viewOnce": "perhaps"}), image, "viewOnce must be true or false"),
            (json!({"options": "quoted"}), image, "options must be an object"),
        ] {
            assert_eq!(read_of(fields.clone(), kind, &one), Err(message.to_owned()), "{fields}");
        }
    }

    #[test]
    fn the_recipient_comes_before_the_file_and_the_file_before_its_type() {
        let refused = |fields: Value| {
            read(fields.as_object().expect("an object"), None, None, None)
                .err()
                .map(|failure| failure.message.into_owned())
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
        let document = read_of(json!({"quoted": "3EB1"}), Some(MediaKind::Document), &one).expect("a document");
        assert_eq!((document.file_name.as_deref(), document.quoted.as_deref()), (Some("bill.xlsx"), Some("3EB1")));
        let of_old = read_of(json!({"mediaType": "document"}), None, &one).expect("a document");
        assert_eq!(of_old.file_name, None);
    }
}
