//! Bodies of callers, on the kept corpus and mutations of it. The first line of an input is the content type.

use super::read_fields;
use crate::{
    body_encoding::{self, read_encoding},
    file_type::detect_type,
};
use axum::http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

const MOST: usize = 1 << 20;

#[test]
fn fuzz_bodies() {
    kurir_fuzz::run("bodies", |input| {
        let (kind, body) = kurir_fuzz::split_line(input);
        let mut headers = HeaderMap::new();
        if let Ok(kind) = HeaderValue::from_bytes(kind) {
            headers.insert(CONTENT_TYPE, kind);
        }
        let _ = read_fields(&headers, body);
        for encoding in ["gzip", "deflate"] {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            if let Ok(Some(encoding)) = read_encoding(&headers)
                && let Ok(Some(unpacked)) = body_encoding::unpack(encoding, body, MOST)
            {
                assert!(unpacked.len() <= MOST);
            }
        }
        detect_type(body);
    });
}
