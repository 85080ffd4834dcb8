//! The signature of a request, as Standard Webhooks defines it: a receiver that has the secret can verify that the
//! request is ours and fresh.
//!
//! Pure: the time is an argument. Each secret signs `<id>.<seconds>.<body>` with HMAC-SHA256. While a secret is
//! replaced, the old and the new one sign, so that the receiver can change over in its own time.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue};
use kurir_contract::endpoint::StoredSecret;
use sha2::Sha256;

/// When the attempt was made, in seconds since 1970. A receiver refuses a request that is some minutes old.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// One `v1,<base64>` for each secret, separated by spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The scheme with a shared secret; `v1a` is the one with a key pair.
const VERSION: &str = "v1,";
/// A version, the base64 of 32 bytes, and the space before the next.
const SIGNATURE_LENGTH: usize = VERSION.len() + 44 + 1;

/// Signs for one endpoint. The keys are prepared once; a signature takes two or three microseconds for a usual event.
pub struct RequestSigner {
    keys: Vec<SigningKey>,
}

struct SigningKey {
    hmac: Hmac<Sha256>,
    /// Seconds since 1970. From then on the key does not sign.
    until: Option<i64>,
}

impl RequestSigner {
    /// All of `secrets` sign, in this order, each until its time is over. An endpoint without a secret has no signer.
    #[must_use]
    pub fn new(secrets: &[StoredSecret]) -> Option<Self> {
        // HMAC accepts every key: it hashes a long one and pads a short one (RFC 2104, 2).
        let key = |secret: &StoredSecret| {
            Some(SigningKey { hmac: Hmac::new_from_slice(secret.secret.key()).ok()?, until: secret.until_seconds() })
        };
        let keys: Vec<SigningKey> = secrets.iter().filter_map(key).collect();
        if keys.is_empty() { None } else { Some(Self { keys }) }
    }

    /// The value of `webhook-signature`. `id` is the value of `webhook-id`, `unix_seconds` that of `webhook-timestamp`,
    /// and `body` is sent byte for byte.
    #[must_use]
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> HeaderValue {
        let head = format!("{id}.{unix_seconds}.");
        let mut signatures = String::with_capacity(self.keys.len() * SIGNATURE_LENGTH);
        for key in self.keys.iter().filter(|key| key.until.is_none_or(|until| unix_seconds < until)) {
            let mut hmac = key.hmac.clone();
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
    use kurir_contract::{clock, endpoint::SigningSecret};
    use proptest::prelude::*;
    use standardwebhooks::Webhook;
    use std::time::{SystemTime, UNIX_EPOCH};
    use time::OffsetDateTime;

    fn now() -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
    }

    /// Verifies as a receiver does, with the published library.
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
            let signer = RequestSigner::new(&[StoredSecret::new(secret.parse().unwrap())]).unwrap();
            assert_eq!(signer.sign(id, seconds, body.as_bytes()), expected, "{id}");
        }
    }

    #[test]
    fn each_of_two_secrets_verifies_while_one_is_replaced_and_a_third_does_not() {
        let (body, seconds) = (br#"{"event":"test"}"#, now());
        let until = |seconds| Some(clock::iso(OffsetDateTime::from_unix_timestamp(seconds).unwrap()));
        let [old, new, other] = [0; 3].map(|_| SigningSecret::random());
        let old_one = |seconds| StoredSecret { secret: old.clone(), until: until(seconds) };
        let secrets = [StoredSecret::new(new.clone()), old_one(seconds + 1)];
        let signature = RequestSigner::new(&secrets).unwrap().sign("evt_1", seconds, body);
        assert_eq!(signature.to_str().unwrap().split(' ').count(), 2);
        assert!(verify(old.key(), "evt_1", seconds, &signature, body));
        assert!(verify(new.key(), "evt_1", seconds, &signature, body));
        assert!(!verify(other.key(), "evt_1", seconds, &signature, body));

        let secrets = [StoredSecret::new(new.clone()), old_one(seconds)];
        let signature = RequestSigner::new(&secrets).unwrap().sign("evt_1", seconds, body);
        assert!(verify(new.key(), "evt_1", seconds, &signature, body));
        assert!(!verify(old.key(), "evt_1", seconds, &signature, body), "its time is over");
        assert!(RequestSigner::new(&[]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else_does(
            keys in 1_usize..4,
            id in "[!-~]{1,40}",
            body in "\\PC{0,200}",
        ) {
            let seconds = now();
            let secrets: Vec<StoredSecret> = (0..keys).map(|_| StoredSecret::new(SigningSecret::random())).collect();
            let signature = RequestSigner::new(&secrets).unwrap().sign(&id, seconds, body.as_bytes());
            for secret in secrets.iter().map(|secret| secret.secret.key()) {
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
