//! `Content-Disposition` with a name that somebody else chose (RFC 6266). Pure.
//!
//! The name is hostile: it must not end the header, leave the folder in which a browser saves it, hide the file, or look
//! like a file of another type because its letters run from right to left.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in `filename*` (RFC 5987).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');
/// In bytes; file systems take 255.
const LONGEST: usize = 200;
/// The name of a file whose own has nothing that can be kept.
const NAMELESS: &str = "file";

/// The header's value: `filename` for every client, and `filename*` if the name is not plain ASCII.
pub fn content_disposition(kind: &str, name: &str) -> String {
    let name = safe_name(name);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain == name {
        return format!("{kind}; filename=\"{plain}\"");
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, ENCODED))
}

/// The last part of the name, without what is no part of a name anywhere.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or_default();
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let kept: String =
        last.chars().filter(|c| !is_bad(*c)).map(|c| if "<>:|?*".contains(c) { '_' } else { c }).collect();
    // A point at the beginning hides a file, and Windows drops those at the end.
    let kept = kept.trim().trim_start_matches('.').trim_end_matches(['.', ' ']).trim_start();
    if kept.is_empty() { NAMELESS.to_owned() } else { shortened(kept) }
}

/// The beginning of the name, and its extension.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.len() <= 16);
    let most = LONGEST - extension.map_or(0, |extension| extension.len() + 1);
    let begins = &name[..name.floor_char_boundary(most)];
    extension.map_or_else(|| begins.to_owned(), |extension| format!("{begins}.{extension}"))
}

/// Neither quoted nor escaped: clients do not agree on `\`, and read `%41` as a letter.
fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' '
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use percent_encoding::percent_decode_str;

    #[test]
    fn a_name_is_written_for_every_client() {
        for (name, expected) in [
            ("bill.pdf", r#"attachment; filename="bill.pdf""#),
            ("My bill (2).pdf", r#"attachment; filename="My bill (2).pdf""#),
            (
                "Rechnung März.pdf",
                r#"attachment; filename="Rechnung M_rz.pdf"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf"#,
            ),
            ("100%.txt", r#"attachment; filename="100_.txt"; filename*=UTF-8''100%25.txt"#),
            (
                r#"a"; filename="b.exe"#,
                r#"attachment; filename="a_; filename=_b.exe"; filename*=UTF-8''a%22%3B%20filename%3D%22b.exe"#,
            ),
            ("../../etc/passwd", r#"attachment; filename="passwd""#),
            (r"C:\temp\a.txt", r#"attachment; filename="a.txt""#),
            (".htaccess", r#"attachment; filename="htaccess""#),
            ("a\r\nSet-Cookie: x=1.pdf", r#"attachment; filename="aSet-Cookie_ x=1.pdf""#),
            ("cod\u{202e}fdp.exe", r#"attachment; filename="codfdp.exe""#),
            ("...", r#"attachment; filename="file""#),
            ("", r#"attachment; filename="file""#),
            ("/", r#"attachment; filename="file""#),
        ] {
            assert_eq!(content_disposition("attachment", name), expected, "{name:?}");
        }
    }

    #[test]
    fn any_name_gives_a_header_of_one_line_that_is_short_enough() {
        let long = format!("{}.pdf", "ü".repeat(1_000));
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        for name in [long.as_str(), &all, &"x".repeat(5_000), &format!("a.{}", "y".repeat(900)), "\u{1f600}\u{0}\u{7f}"]
        {
            let header = content_disposition("inline", name);
            assert!(header.is_ascii() && HeaderValue::from_str(&header).is_ok(), "{header}");
            let encoded = header.split_once("filename*=UTF-8''").map_or("", |(_, encoded)| encoded);
            let decoded = percent_decode_str(encoded).decode_utf8().expect("UTF-8");
            assert!(decoded.len() <= LONGEST && !decoded.contains(char::is_control), "{decoded}");
        }
        assert!(content_disposition("inline", &long).ends_with(".pdf"));
    }
}
