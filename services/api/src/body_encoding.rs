//! `Content-Encoding` of a request: gzip and deflate, as Express took them.

use crate::{error_code::ErrorCode, response::ApiError};
use axum::http::{HeaderMap, header::CONTENT_ENCODING};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    Gzip,
    /// With the head of zlib, or, as some clients send it, without.
    Deflate,
}

/// How the body is packed; none if it is not.
///
/// # Errors
/// 415 for an encoding that is not read.
pub fn read_encoding(headers: &HeaderMap) -> Result<Option<BodyEncoding>, ApiError> {
    let named = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match named.as_deref().unwrap_or_default() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(BodyEncoding::Gzip)),
        "deflate" => Ok(Some(BodyEncoding::Deflate)),
        _ => {
            let text = "The body must come as it is, or with Content-Encoding: gzip or deflate";
            Err(ApiError::new(ErrorCode::UnsupportedMediaType, text))
        }
    }
}

/// The unpacked bytes; none if there are more than `most`.
///
/// # Errors
/// 400 if the bytes are not packed so.
pub fn unpack(encoding: BodyEncoding, packed: &[u8], most: usize) -> Result<Option<Vec<u8>>, ApiError> {
    if packed.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let unpacked = match encoding {
        BodyEncoding::Gzip => read_bounded(MultiGzDecoder::new(packed), most),
        // zlib's first byte names its method, 8, in the lower half.
        BodyEncoding::Deflate if packed[0] & 0x0f == 8 => read_bounded(ZlibDecoder::new(packed), most),
        BodyEncoding::Deflate => read_bounded(DeflateDecoder::new(packed), most),
    };
    unpacked.map_err(|_| ApiError::new(ErrorCode::InvalidJson, "Request body is not packed as Content-Encoding says"))
}

fn read_bounded(source: impl Read, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}
