//! What a file is, by its first bytes. Pure.
//!
//! A label may be wrong: an mp4 that is called ogg goes out as a voice note that no app plays. What the bytes say corrects
//! the label, or refuses the file; bytes that say nothing leave the label as it is.

use kurir_contract::command::MediaKind;

/// Types that hold files of other types: the label says more than the bytes.
const CONTAINERS: [&str; 8] = [
    "application/zip",
    "application/gzip",
    "application/x-ole-storage",
    "application/msword",
    "text/html",
    "text/xml",
    "text/plain",
    "application/octet-stream",
];
/// Files with sound alone that their bytes call videos: the container is the same.
const SOUND_OR_VIDEO: [(&str, &str); 4] = [
    ("video/mp4", "audio/mp4"),
    ("video/webm", "audio/webm"),
    ("video/ogg", "audio/ogg"),
    ("video/quicktime", "audio/mp4"),
];
/// More than the longest signature; the names within a zip that tell office documents apart come early.
pub const BEGINS: usize = 4_096;

/// The type that the first bytes say; none if they say nothing.
pub fn detect_type(begins: &[u8]) -> Option<&'static str> {
    // Opus, the codec of voice notes, is named in the first page of its Ogg.
    if begins.starts_with(b"OggS") {
        return Some(if begins.windows(8).take(64).any(|at| at == b"OpusHead") {
            "audio/ogg; codecs=opus"
        } else if begins.windows(7).take(64).any(|at| at == b"\x80theora") {
            "video/ogg"
        } else {
            "audio/ogg"
        });
    }
    match infer::get(begins)?.mime_type() {
        "audio/x-wav" => Some("audio/wav"),
        "audio/m4a" => Some("audio/mp4"),
        "audio/x-flac" => Some("audio/flac"),
        other => Some(other),
    }
}

/// The type under which a file goes out as this kind: `label` unless the bytes say another one.
///
/// # Errors
/// With the type that the bytes say, if the kind does not take it.
pub fn settle_type(kind: MediaKind, label: &str, detected: Option<&'static str>) -> Result<String, &'static str> {
    let Some(detected) = detected else { return Ok(label.to_owned()) };
    let (label_is, detected_is) = (essence(label), essence(detected));
    if kind == MediaKind::Document {
        // A document may be anything, and of a container the label knows more.
        let is_vague = CONTAINERS.contains(&detected_is.as_str()) && label_is != "application/octet-stream";
        return Ok(if is_vague { label } else { detected }.to_owned());
    }
    if label_is == detected_is {
        return Ok(if label.contains(';') { label } else { detected }.to_owned());
    }
    let is_sound = matches!(kind, MediaKind::Audio | MediaKind::Voice);
    let as_sound = SOUND_OR_VIDEO.iter().find(|(video, _)| is_sound && *video == detected_is);
    let settled = as_sound.map_or(detected, |(_, sound)| *sound);
    if kind.takes(settled) { Ok(settled.to_owned()) } else { Err(detected) }
}

fn essence(mimetype: &str) -> String {
    mimetype.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
    const OPUS: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01";
    const VORBIS: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis";
    const PDF: &[u8] = b"%PDF-1.4";
    const HTML: &[u8] = b"<!DOCTYPE html><html><body>";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0";

    #[test]
    fn a_file_goes_out_as_what_it_holds() {
        for (kind, label, begins, expected) in [
            (MediaKind::Image, "image/jpeg", PNG, Ok("image/png")),
            (MediaKind::Image, "image/png", JPEG, Ok("image/jpeg")),
            (MediaKind::Image, "image/png", b"abc" as &[u8], Ok("image/png")),
            (MediaKind::Image, "image/png", HTML, Err("text/html")),
            (MediaKind::Image, "image/png", MP4, Err("video/mp4")),
            (MediaKind::Image, "image/png", PDF, Err("application/pdf")),
            (MediaKind::Video, "video/mp4", PNG, Err("image/png")),
            (MediaKind::Video, "video/webm", MP4, Ok("video/mp4")),
            (MediaKind::Audio, "audio/ogg", MP4, Ok("audio/mp4")),
            (MediaKind::Audio, "audio/mpeg", OPUS, Ok("audio/ogg; codecs=opus")),
            (MediaKind::Audio, "audio/mp4", PDF, Err("application/pdf")),
            (MediaKind::Voice, "audio/ogg; codecs=opus", OPUS, Ok("audio/ogg; codecs=opus")),
            (MediaKind::Voice, "audio/ogg", OPUS, Ok("audio/ogg; codecs=opus")),
            (MediaKind::Voice, "audio/ogg; codecs=opus", MP4, Ok("audio/mp4")),
            (MediaKind::Document, "application/pdf", PNG, Ok("image/png")),
            (MediaKind::Document, "application/octet-stream", PDF, Ok("application/pdf")),
            (MediaKind::Document, "text/csv", b"a,b\n1,2\n", Ok("text/csv")),
            (
                MediaKind::Document,
                "application/vnd.android.package-archive",
                ZIP,
                Ok("application/vnd.android.package-archive"),
            ),
            (MediaKind::Document, "application/octet-stream", ZIP, Ok("application/zip")),
            (MediaKind::Document, "text/markdown", HTML, Ok("text/markdown")),
        ] {
            let settled = settle_type(kind, label, detect_type(begins));
            assert_eq!(settled.as_deref().map_err(|detected| *detected), expected, "{kind} {label}");
        }
        assert_eq!(detect_type(VORBIS), Some("audio/ogg"));
    }
}
