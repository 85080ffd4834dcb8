//! The types of received files that a browser may show. Pure.
//!
//! A file's type comes from its sender; what is served is one of these strings, or `application/octet-stream`.

/// Images, sound, video and PDF: types that browsers show and do not run. SVG is none of them: it holds scripts.
const SHOWN: [&str; 27] = [
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/heic",
    "image/heif",
    "image/tiff",
    "audio/ogg",
    "audio/opus",
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "audio/amr",
    "audio/flac",
    "audio/wav",
    "audio/x-wav",
    "audio/x-m4a",
    "audio/webm",
    "video/mp4",
    "video/3gpp",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "video/mpeg",
    "application/pdf",
];

/// The type to serve a file as, if it may be shown; parameters such as `codecs` are left out.
pub fn shown_type(given: &str) -> Option<&'static str> {
    let essence = given.split(';').next().unwrap_or_default().trim();
    SHOWN.into_iter().find(|shown| shown.eq_ignore_ascii_case(essence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_shown_and_by_its_own_name() {
        for (given, shown) in [
            ("image/jpeg", Some("image/jpeg")),
            (" Image/JPEG ; x=\"y\"", Some("image/jpeg")),
            ("audio/ogg; codecs=opus", Some("audio/ogg")),
            ("application/pdf", Some("application/pdf")),
            ("image/svg+xml", None),
            ("text/html", None),
            ("text/plain", None),
            ("application/xhtml+xml", None),
            ("text/html,image/png", None),
            ("image/png text/html", None),
            ("image/*", None),
            ("", None),
        ] {
            assert_eq!(shown_type(given), shown, "{given:?}");
        }
    }
}
