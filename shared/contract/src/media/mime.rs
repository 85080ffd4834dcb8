//! MIME types of files: the extension that names one, and whether a browser would run it.

/// Those that WhatsApp's apps send. Everything else is `bin`: its `Content-Type` tells what it is.
const EXTENSIONS: [(&str, &str); 46] = [
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/heic", "heic"),
    ("image/heif", "heif"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/svg+xml", "svg"),
    ("video/mp4", "mp4"),
    ("video/3gpp", "3gp"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("video/x-msvideo", "avi"),
    ("audio/ogg", "ogg"),
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/webm", "weba"),
    ("audio/flac", "flac"),
    ("application/pdf", "pdf"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/zip", "zip"),
    ("application/x-rar-compressed", "rar"),
    ("application/x-7z-compressed", "7z"),
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/rtf", "rtf"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/vcard", "vcf"),
    ("text/calendar", "ics"),
];

/// The extension of a file of this type, without the dot.
#[must_use]
pub fn extension(mimetype: &str) -> &'static str {
    let essence = essence(mimetype);
    EXTENSIONS.iter().find(|(name, _)| *name == essence).map_or("bin", |(_, extension)| extension)
}

/// The type without its parameters.
fn essence(mimetype: &str) -> String {
    mimetype.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_extension_whatever_its_parameters() {
        for (mimetype, expected) in [
            ("audio/ogg; codecs=opus", "ogg"),
            ("IMAGE/JPEG", "jpg"),
            ("application/pdf", "pdf"),
            ("x/y", "bin"),
            ("", "bin"),
        ] {
            assert_eq!(extension(mimetype), expected, "{mimetype}");
        }
    }
}
