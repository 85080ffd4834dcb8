//! A file as text: base64 in any of its alphabets, with line breaks or without, or a data URI. Pure.

use crate::{error_code::ErrorCode, response::ApiError};
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Padding is left out by many programs, and some bits behind the end are not zero.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const WITH_PLUS: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const WITH_MINUS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The bytes, and their type if the text names it.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodedFile {
    pub bytes: Vec<u8>,
    pub mimetype: Option<String>,
}

/// # Errors
/// If it is no base64.
pub fn decode_file(text: &str) -> Result<DecodedFile, ApiError> {
    let invalid = || ApiError::new(ErrorCode::InvalidBase64, "base64 is not valid base64");
    let text = text.trim();
    let is_uri = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let (mimetype, encoded) = if is_uri {
        let (head, encoded) = text[5..].split_once(',').ok_or_else(invalid)?;
        let head = head.trim();
        let mimetype = head.strip_suffix(";base64").or_else(|| head.strip_suffix(";BASE64")).ok_or_else(|| {
            let text = "base64 is a data URI without ;base64";
            ApiError::new(ErrorCode::InvalidBase64, text)
        })?;
        (Some(mimetype.trim().to_owned()).filter(|mimetype| !mimetype.is_empty()), encoded)
    } else {
        (None, text)
    };
    // A form turns + into a blank, so blanks are not dropped with the line breaks.
    let mut characters: Vec<u8> = encoded.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | b'\t')).collect();
    characters.iter_mut().filter(|b| **b == b' ').for_each(|b| *b = b'+');
    let engine = if characters.iter().any(|b| matches!(b, b'-' | b'_')) { WITH_MINUS } else { WITH_PLUS };
    let bytes = engine.decode(&characters).map_err(|_| invalid())?;
    Ok(DecodedFile { bytes, mimetype })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_way_it_is_written() {
        let bytes = b"\xfb\xff\xfeabc".to_vec();
        for (text, mimetype) in [
            ("+//+YWJj", None),
            (" +//+YWJj\n", None),
            ("+//+\r\nYWJj", None),
            ("-__-YWJj", None),
            ("data:image/png;base64,+//+YWJj", Some("image/png")),
            ("DATA:image/png;base64,+//+YWJj", Some("image/png")),
            ("data:audio/ogg; codecs=opus;base64,-__-YWJj", Some("audio/ogg; codecs=opus")),
            ("data:;base64,+//+YWJj", None),
        ] {
            let expected = DecodedFile { bytes: bytes.clone(), mimetype: mimetype.map(str::to_owned) };
            assert_eq!(decode_file(text), Ok(expected), "{text:?}");
        }
        for (text, decoded) in [
            ("YQ", b"a" as &[u8]),
            ("YQ==", b"a"),
            ("YWI", b"ab"),
            ("YW//+w==", b"ao\xff\xfb"),
            ("YW// w==", b"ao\xff\xfb"),
        ] {
            assert_eq!(decode_file(text).map(|file| file.bytes), Ok(decoded.to_vec()), "{text:?}");
        }
        for wrong in ["?", "Y", "YWJj=YWJj", "data:image/png,abc", "data:image/png", "+-AA"] {
            let refused = decode_file(wrong).map(drop).expect_err("refused");
            assert_eq!(refused.code, ErrorCode::InvalidBase64, "{wrong:?}");
        }
    }
}
