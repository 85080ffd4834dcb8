//! Which files are converted, and how `ffmpeg` is told to read them: by the type that their first bytes say, never by what
//! it finds in them itself. Formats that name other files (playlists, `concat`) are not in these tables. Pure.

use kurir_contract::command::MediaKind;

/// A file that has to be converted before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Sound of another format.
    VoiceNote { demuxer: &'static str },
    /// A picture, or a moving one.
    Sticker { demuxer: &'static str },
}

/// Types with sound.
const SOUND: [(&str, &str); 17] = [
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "ogg"),
    ("audio/flac", "flac"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/aiff", "aiff"),
    ("audio/x-aiff", "aiff"),
    ("audio/mp4", "mov"),
    ("audio/webm", "matroska"),
    ("video/ogg", "ogg"),
    ("video/mp4", "mov"),
    ("video/webm", "matroska"),
    ("video/quicktime", "mov"),
];
const VIDEOS: [(&str, &str); 6] = [
    ("video/mp4", "mov"),
    ("video/quicktime", "mov"),
    ("video/3gpp", "mov"),
    ("video/x-m4v", "mov"),
    ("video/webm", "matroska"),
    ("video/x-matroska", "matroska"),
];
const PICTURES: [(&str, &str); 3] = [("image/png", "png_pipe"), ("image/jpeg", "jpeg_pipe"), ("image/gif", "gif")];

impl Conversion {
    /// What has to be done with a file whose bytes say `detected`; none if it can be sent as it is, or cannot be converted.
    pub fn needed(kind: MediaKind, detected: &str) -> Option<Self> {
        match kind {
            MediaKind::Voice if !detected.starts_with("audio/ogg; codecs=opus") => {
                sound_demuxer(detected).map(|demuxer| Self::VoiceNote { demuxer })
            }
            MediaKind::Sticker => {
                let demuxer = look_up(&PICTURES, detected).or_else(|| look_up(&VIDEOS, detected));
                demuxer.map(|demuxer| Self::Sticker { demuxer })
            }
            MediaKind::Voice
            | MediaKind::Image
            | MediaKind::Video
            | MediaKind::Round
            | MediaKind::Audio
            | MediaKind::Document => None,
        }
    }
}

pub fn sound_demuxer(mimetype: &str) -> Option<&'static str> {
    look_up(&SOUND, mimetype).or_else(|| look_up(&VIDEOS, mimetype))
}

pub fn video_demuxer(mimetype: &str) -> Option<&'static str> {
    look_up(&VIDEOS, mimetype)
}

fn look_up(table: &[(&str, &'static str)], mimetype: &str) -> Option<&'static str> {
    let essence = mimetype.split(';').next().unwrap_or_default().trim();
    table.iter().find(|(named, _)| named.eq_ignore_ascii_case(essence)).map(|(_, demuxer)| *demuxer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_formats_are_converted() {
        let voice = |demuxer| Some(Conversion::VoiceNote { demuxer });
        let sticker = |demuxer| Some(Conversion::Sticker { demuxer });
        for (kind, detected, expected) in [
            (MediaKind::Voice, "audio/mpeg", voice("mp3")),
            (MediaKind::Voice, "audio/ogg", voice("ogg")),
            (MediaKind::Voice, "audio/ogg; codecs=opus", None),
            (MediaKind::Voice, "video/3gpp", voice("mov")),
            (MediaKind::Voice, "application/x-mpegurl", None),
            (MediaKind::Voice, "image/png", None),
            (MediaKind::Sticker, "image/png", sticker("png_pipe")),
            (MediaKind::Sticker, "image/gif", sticker("gif")),
            (MediaKind::Sticker, "video/mp4", sticker("mov")),
            (MediaKind::Sticker, "image/webp", None),
            (MediaKind::Sticker, "image/svg+xml", None),
            (MediaKind::Image, "image/png", None),
            (MediaKind::Document, "audio/mpeg", None),
        ] {
            assert_eq!(Conversion::needed(kind, detected), expected, "{kind} {detected}");
        }
    }
}
