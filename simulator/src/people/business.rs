//! What a business shows: its profile, and the certificate of its verified name.

use buffa::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use waproto::whatsapp::{VerifiedNameCertificate, verified_name_certificate::Details};

use crate::signal::SignalEndpoint;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BusinessProfile {
    /// The name that WhatsApp verified.
    pub verified_name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub websites: Vec<String>,
    #[serde(default)]
    pub category: String,
}

/// The serial of every certificate. Clients compare it with the one they know.
pub const SERIAL: u64 = 4_711;

impl BusinessProfile {
    /// The certificate, signed by the phone. Clients read it and do not verify it.
    pub fn certificate(&self, phone: &SignalEndpoint) -> Vec<u8> {
        let details = Details {
            serial: Some(SERIAL),
            issuer: Some("smb:wa".to_owned()),
            verified_name: Some(self.verified_name.clone()),
            ..Default::default()
        }
        .encode_to_vec();
        let signature = phone.sign(&details).ok().map(|signature| signature.to_vec());
        VerifiedNameCertificate { details: Some(details), signature, ..Default::default() }.encode_to_vec()
    }
}
