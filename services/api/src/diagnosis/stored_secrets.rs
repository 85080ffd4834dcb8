//! Whether the secrets that NATS stores are sealed, and whether they open.

use super::{
    finding::{CheckArea, Finding},
    unknown,
};
use crate::{app_state::AppState, bucket_error::bucket_read_error};
use kurir_chassis::bucket::{BUCKETS_OF_SECRETS, Bucket};

pub async fn check_stored_secrets(app: &AppState) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut plain = 0;
    for bucket in BUCKETS_OF_SECRETS {
        let counts = match Bucket::new(app.broker.clone(), bucket).count_sealed().await {
            Ok(counts) => counts,
            Err(error) => return vec![unknown(CheckArea::Security, bucket, &bucket_read_error(error).message)],
        };
        plain += counts.plain;
        if counts.unopened > 0 {
            findings.push(Finding::problem(
                CheckArea::Security,
                format!("{} values of {bucket} do not open with SECRETS_KEY. What they describe stays as it was, and events wait", counts.unopened),
                "Give every service the key that sealed them, behind a comma: SECRETS_KEY=new,old",
            ));
        }
    }
    if app.broker.secrets_key().is_none() && plain > 0 {
        findings.push(Finding::warning(
            CheckArea::Security,
            "SECRETS_KEY is not set: who reads NATS' disk reads the secrets of endpoints and the passwords of proxies",
            "Give the same SECRETS_KEY to every service: SECRETS_KEY=$(openssl rand -hex 32); what is stored is then sealed",
        ));
    }
    findings
}
