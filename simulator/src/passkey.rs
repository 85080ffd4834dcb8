//! A passkey as its two owners know it: WhatsApp, which asks for a signature and checks it, and the user's
//! authenticator, which signs. Promises that every part of an assertion is verified that WebAuthn names
//! (Web Authentication Level 3, section 7.2). Leaves who is asked, and when, to `connection::passkey`.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::randomness;

/// Whose passkeys they are, and the one page on which they work.
const RP_ID: &str = "web.whatsapp.com";
pub const ORIGIN: &str = "https://web.whatsapp.com";

/// Flags of the authenticator: the user was there, and was recognised.
const PRESENT_AND_VERIFIED: u8 = 0b101;

/// The hash of the relying party, the flags, the counter.
const AUTHENTICATOR_DATA: usize = 32 + 1 + 4;

/// The key of one account, P-256.
pub struct PasskeyCredential {
    key: EcdsaKeyPair,
    /// The same in PKCS#8, for a browser that is to have it.
    document: Vec<u8>,
    credential: [u8; 16],
    /// Signatures so far; an authenticator counts them.
    signed: u32,
    /// The count that WhatsApp saw last.
    seen: u32,
}

/// What is read of `PublicKeyCredentialRequestOptions`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    challenge: String,
    rp_id: Option<String>,
}

/// `PublicKeyCredential`, as WhatsApp Web sends it on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasskeyAssertion {
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: AssertionResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
}

#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
}

impl PasskeyCredential {
    pub fn generate() -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document =
            EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok().context("no passkey could be generated")?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .ok()
            .context("a generated passkey cannot be read")?;
        Ok(Self { key, document: document.as_ref().to_vec(), credential: randomness::random(), signed: 0, seen: 0 })
    }

    /// The key itself, as WebDriver's virtual authenticators take it: a browser has the account's passkey then.
    pub fn exported(&self) -> Value {
        json!({
            "rpId": RP_ID,
            "credentialId": BASE64URL.encode(self.credential),
            "privateKey": BASE64URL.encode(&self.document),
        })
    }

    /// What WhatsApp asks the user's browser to sign.
    pub fn options(&self, challenge: &[u8], good_for: std::time::Duration) -> Value {
        json!({
            "challenge": BASE64URL.encode(challenge),
            "rpId": RP_ID,
            "allowCredentials": [{"type": "public-key", "id": BASE64URL.encode(self.credential)}],
            "userVerification": "required",
            "timeout": u64::try_from(good_for.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// `PublicKeyCredential.toJSON()` of the user's browser on the page `origin`.
    pub fn sign(&mut self, options: &RequestOptions, origin: &str) -> Result<Value> {
        self.signed += 1;
        let client_data = json!({
            "type": "webauthn.get",
            "challenge": options.challenge,
            "origin": origin,
            "crossOrigin": false,
        })
        .to_string();
        let rp_id = options.rp_id.as_deref().unwrap_or(RP_ID);
        let mut authenticator_data = Sha256::digest(rp_id).to_vec();
        authenticator_data.push(PRESENT_AND_VERIFIED);
        authenticator_data.extend(self.signed.to_be_bytes());
        let signature = self
            .key
            .sign(&SystemRandom::new(), &signed_bytes(&authenticator_data, client_data.as_bytes()))
            .ok()
            .context("the passkey does not sign")?;
        let id = BASE64URL.encode(self.credential);
        Ok(json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64URL.encode(client_data),
                "authenticatorData": BASE64URL.encode(authenticator_data),
                "signature": BASE64URL.encode(signature),
                "userHandle": null,
            },
        }))
    }

    /// Whether this is the answer to `challenge`, by this passkey.
    pub fn verify(&mut self, credential: &[u8], assertion: &[u8], challenge: &[u8]) -> Result<()> {
        let assertion: PasskeyAssertion = serde_json::from_slice(assertion).context("the assertion cannot be read")?;
        let bytes = |name: &str, text: &str| BASE64URL.decode(text).with_context(|| format!("{name} is not base64url"));
        ensure!(credential == self.credential, "the credential is not the account's");
        ensure!(bytes("rawId", &assertion.raw_id)? == self.credential, "`rawId` is not the account's");
        ensure!(assertion.kind == "public-key", "the type is {:?}", assertion.kind);
        let client_data = bytes("clientDataJSON", &assertion.response.client_data)?;
        let said: ClientData = serde_json::from_slice(&client_data).context("the client's data cannot be read")?;
        ensure!(said.kind == "webauthn.get", "it is for {:?}", said.kind);
        ensure!(said.origin == ORIGIN, "it was made on {:?}", said.origin);
        ensure!(bytes("challenge", &said.challenge)? == challenge, "it answers another challenge");
        let data = bytes("authenticatorData", &assertion.response.authenticator_data)?;
        ensure!(data.len() >= AUTHENTICATOR_DATA, "the authenticator's data is too short");
        ensure!(data[..32] == Sha256::digest(RP_ID)[..], "it is for another relying party");
        ensure!(data[32] & PRESENT_AND_VERIFIED == PRESENT_AND_VERIFIED, "the user was not verified");
        let signature = bytes("signature", &assertion.response.signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.public_key().as_ref())
            .verify(&signed_bytes(&data, &client_data), &signature)
            .ok()
            .context("the signature is not the passkey's")?;
        let count = u32::from_be_bytes([data[33], data[34], data[35], data[36]]);
        ensure!(count > self.seen, "the passkey's counter went back");
        self.seen = count;
        Ok(())
    }
}

fn signed_bytes(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &Sha256::digest(client_data)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// An assertion over `challenge` with one thing changed, and whether it is taken.
    fn judged(origin: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut passkey = PasskeyCredential::generate().unwrap();
        let options = passkey.options(b"challenge", Duration::from_secs(60));
        let mut credential = passkey.sign(&serde_json::from_value(options).unwrap(), origin).unwrap();
        change(&mut credential);
        let id = passkey.credential;
        passkey.verify(&id, credential.to_string().as_bytes(), b"challenge")
    }

    #[test]
    fn an_assertion_is_taken_and_each_part_of_it_counts() {
        judged(ORIGIN, |_| {}).unwrap();
        assert!(judged("https://example.org", |_| {}).unwrap_err().to_string().contains("example.org"));
        type Change = fn(&mut Value);
        let other = |part: &'static str| {
            let mut passkey = PasskeyCredential::generate().unwrap();
            let options = passkey.options(b"another", Duration::from_secs(60));
            let mut made = passkey.sign(&serde_json::from_value(options).unwrap(), ORIGIN).unwrap();
            made["response"][part].take()
        };
        assert!(judged(ORIGIN, |made| made["response"]["signature"] = other("signature")).is_err());
        assert!(judged(ORIGIN, |made| made["response"]["clientDataJSON"] = other("clientDataJSON")).is_err());
        let changes: [Change; 3] = [
            |made| made["rawId"] = json!("AAAA"),
            |made| made["type"] = json!("password"),
            |made| made["response"]["authenticatorData"] = json!(BASE64URL.encode([0; 37])),
        ];
        for change in changes {
            assert!(judged(ORIGIN, change).is_err());
        }
    }

    #[test]
    fn an_assertion_is_taken_once() {
        let mut passkey = PasskeyCredential::generate().unwrap();
        let options = serde_json::from_value(passkey.options(b"c", Duration::from_secs(60))).unwrap();
        let made = passkey.sign(&options, ORIGIN).unwrap().to_string();
        let id = passkey.credential;
        passkey.verify(&id, made.as_bytes(), b"c").unwrap();
        assert!(passkey.verify(&id, made.as_bytes(), b"c").is_err());
    }
}
