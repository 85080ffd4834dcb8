//! Whether a file is what its type says, by its first bytes.

/// True for a type that is not looked into.
pub(super) fn fits(mimetype: &str, bytes: &[u8]) -> bool {
    let (essence, parameters) = mimetype.split_once(';').unwrap_or((mimetype, ""));
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let is_mp4 = bytes.get(4..8) == Some(b"ftyp".as_slice());
    match essence.trim() {
        "image/jpeg" => begins(b"\xff\xd8\xff"),
        "image/png" => begins(b"\x89PNG"),
        "image/gif" => begins(b"GIF8"),
        "image/webp" => begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP".as_slice()),
        "audio/ogg" if parameters.contains("opus") => begins(b"OggS") && has_opus_head(bytes),
        "audio/ogg" => begins(b"OggS"),
        // A frame of MPEG audio begins with eleven ones.
        "audio/mpeg" => begins(b"ID3") || matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0),
        "audio/aac" => matches!(bytes, [0xff, second, ..] if second & 0xf6 == 0xf0) || is_mp4,
        "audio/mp4" | "video/mp4" | "video/3gpp" | "video/quicktime" => is_mp4,
        "application/pdf" => begins(b"%PDF"),
        _ => true,
    }
}

/// The head of an Opus stream is in the first page of the file.
fn has_opus_head(bytes: &[u8]) -> bool {
    bytes.iter().take(128).copied().collect::<Vec<u8>>().windows(8).any(|window| window == b"OpusHead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_type_does_not_fit() {
        let ogg = [b"OggS\0\x02".as_slice(), &[0; 22], b"OpusHead"].concat();
        let vorbis = [b"OggS\0\x02".as_slice(), &[0; 22], b"\x01vorbis"].concat();
        let table: [(&str, &[u8], bool); 9] = [
            ("audio/ogg; codecs=opus", &ogg, true),
            ("audio/ogg; codecs=opus", &vorbis, false),
            ("audio/ogg; codecs=opus", b"ID3\x03", false),
            ("audio/mpeg", b"\xff\xfb\x90\x00", true),
            ("audio/mpeg", &ogg, false),
            ("image/jpeg", b"\x89PNG", false),
            ("video/mp4", b"\0\0\0\x18ftypmp42", true),
            ("application/pdf", b"<html>", false),
            ("application/x-anything", b"", true),
        ];
        for (mimetype, bytes, wanted) in table {
            assert_eq!(fits(mimetype, bytes), wanted, "{mimetype} {bytes:?}");
        }
    }
}
