//! The id of a request: the caller's `X-Request-Id` if it is well-formed, else a new one. The answer and the log name it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A UUID has 36 characters; a trace header has some 55.
const LONGEST: usize = 128;

/// The id that the caller gave, or a new one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|given| is_well_formed(given.as_bytes()));
    given.cloned().unwrap_or_else(|| {
        let id = format!("req_{:032x}", rand::random::<u128>());
        // Letters, digits and an underscore are a header's value.
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("req_0"))
    })
}

/// A log line must not hold what a caller could make of quotes and line breaks.
fn is_well_formed(id: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_id_is_taken_and_any_other_replaced() {
        let id = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(given));
            request_id(&headers).to_str().expect("text").to_owned()
        };
        assert_eq!(id("0af7651916cd43dd8448eb211c80319c-1"), "0af7651916cd43dd8448eb211c80319c-1");
        for bad in ["", "a b", "a\"b", "a;b"] {
            assert!(id(bad).starts_with("req_"), "{bad:?}");
        }
        assert!(request_id(&HeaderMap::new()).to_str().is_ok_and(|id| id.len() == 36));
    }
}
