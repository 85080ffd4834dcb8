//! The signature of a request, as Standard Webhooks has it: who has the secret can tell that the request is ours, and
//! that it is fresh.
//!
//! Pure: the present is an argument. Each secret signs `<id>.<seconds>.<body>` with HMAC-SHA256; while a secret is
//! being replaced the old and the new one sign, so the receiver can change over in its own time.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

/// When this attempt was made, in seconds since 1970: a receiver refuses what is older than some minutes.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// One `v1,<base64>` for each secret, separated by spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// In front of a secret's base64, so that a secret is recognised as one where it must not be.
const SECRET_PREFIX: &str = "whsec_";
/// Of the scheme with a shared secret; `v1a` is the one with a key pair.
const VERSION: &str = "v1,";
/// A version, the base64 of 32 bytes, and the space before the next.
const SIGNATURE_LENGTH: usize = VERSION.len() + 44 + 1;

/// Why a secret cannot be used. The text never holds the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and then base64, as \"openssl rand -base64 32\" makes it")]
pub struct InvalidSecret;

/// The bytes of a secret as a user writes it: `whsec_<base64>`.
///
/// # Errors
/// Without the prefix, with what is not base64, or with nothing behind the prefix.
pub fn secret_bytes(secret: &str) -> Result<Vec<u8>, InvalidSecret> {
    let encoded = secret.trim().strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
    match BASE64_STANDARD.decode(encoded) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) | Err(_) => Err(InvalidSecret),
    }
}

/// Signs for one endpoint. The keys are prepared once; a signature of 600 bytes costs 4 µs in a test build.
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// `secrets`: the bytes, without prefix and base64; all sign, in this order. An endpoint without a secret has no
    /// signer.
    #[must_use]
    pub fn new(secrets: &[Vec<u8>]) -> Self {
        // HMAC refuses no key: a long one is hashed, a short one filled up (RFC 2104, 2).
        Self { keys: secrets.iter().filter_map(|secret| Hmac::new_from_slice(secret).ok()).collect() }
    }

    /// The value of `webhook-signature`. `id` is the value of `webhook-id`, `unix_seconds` that of
    /// `webhook-timestamp`, and `body` what is sent, byte for byte.
    #[must_use]
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> HeaderValue {
        let head = format!("{id}.{unix_seconds}.");
        let mut signatures = String::with_capacity(self.keys.len() * SIGNATURE_LENGTH);
        for key in &self.keys {
            let mut hmac = key.clone();
            hmac.update(head.as_bytes());
            hmac.update(body);
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str(VERSION);
            BASE64_STANDARD.encode_string(hmac.finalize().into_bytes(), &mut signatures);
        }
        // Base64, commas and spaces are allowed in a header (RFC 9110, 5.5), so this never falls back.
        HeaderValue::try_from(signatures).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;
    use standardwebhooks::Webhook;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn now() -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
    }

    /// As a receiver does it, with the published library.
    fn verify(secret: &[u8], id: &str, seconds: i64, signature: &HeaderValue, body: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert(WEBHOOK_TIMESTAMP, seconds.into());
        headers.insert(WEBHOOK_SIGNATURE, signature.clone());
        Webhook::from_bytes(secret.to_vec()).unwrap().verify(body, &headers).is_ok()
    }

    #[test]
    fn the_signature_is_the_published_one() {
        for (secret, id, seconds, body, expected) in [
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ] {
            let signer = Signer::new(&[secret_bytes(secret).unwrap()]);
            assert_eq!(signer.sign(id, seconds, body.as_bytes()), expected, "{id}");
        }
    }

    #[test]
    fn each_of_two_secrets_verifies_while_one_is_replaced_and_a_third_does_not() {
        let (old, new, other) = (b"old secret".to_vec(), b"new secret".to_vec(), b"other secret".to_vec());
        let (body, seconds) = (br#"{"event":"test"}"#, now());
        let signature = Signer::new(&[new.clone(), old.clone()]).sign("evt_1", seconds, body);
        assert_eq!(signature.to_str().unwrap().split(' ').count(), 2);
        assert!(verify(&old, "evt_1", seconds, &signature, body));
        assert!(verify(&new, "evt_1", seconds, &signature, body));
        assert!(!verify(&other, "evt_1", seconds, &signature, body));
    }

    #[test]
    fn a_secret_is_read_only_in_its_published_form() {
        assert_eq!(secret_bytes("whsec_AQID"), Ok(vec![1, 2, 3]));
        assert_eq!(secret_bytes(" whsec_AQID\n"), Ok(vec![1, 2, 3]));
        for bad in ["", "AQID", "whsec_", "whsec_!", "whsec_AQI", "WHSEC_AQID", "whsec_AQ ID"] {
            assert_eq!(secret_bytes(bad), Err(InvalidSecret), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else_does(
            secrets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..4),
            id in "[!-~]{1,40}",
            body in "\\PC{0,200}",
        ) {
            let seconds = now();
            let signature = Signer::new(&secrets).sign(&id, seconds, body.as_bytes());
            for secret in &secrets {
                prop_assert!(verify(secret, &id, seconds, &signature, body.as_bytes()));
                prop_assert!(!verify(secret, &id, seconds - 1, &signature, body.as_bytes()));
                let other_id = format!("{id}x");
                prop_assert!(!verify(secret, &other_id, seconds, &signature, body.as_bytes()));
                let mut other = body.clone();
                other.push('x');
                prop_assert!(!verify(secret, &id, seconds, &signature, other.as_bytes()));
            }
        }
    }
}
