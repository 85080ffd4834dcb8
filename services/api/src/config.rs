//! The settings of the API, from flags, the environment and `.env`; what they say is checked before anything starts.

use crate::{
    api_key::ApiKey, connection_limits::ConnectionLimits, index::IndexSettings, remote_file, tls::CertificateSettings,
};
use axum::http::HeaderValue;
use kurir_chassis::{
    broker::BrokerSettings,
    byte_size::ByteSize,
    settings::{ServiceSettings, SettingProblem},
    telemetry::LogSettings,
    webhook_settings::WebhookSettings,
};
use kurir_contract::address_guard::{ALLOWED_NETWORKS, InvalidNetworks, NetworkList};

/// The management API of Kurir.
#[derive(clap::Parser)]
#[command(name = "kurir-api", version)]
pub struct ApiConfig {
    /// The port of the API.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,
    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// The key that callers send as `X-API-Key` or `?api_key=`. Required.
    #[arg(long, env = "API_KEY", hide_env_values = true)]
    pub api_key: Option<ApiKey>,
    /// Where events are delivered; unset or empty: webhooks are disabled. The dispatcher needs the same value.
    #[arg(long, env = "WEBHOOK_URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    #[command(flatten)]
    pub webhook: WebhookSettings,
    /// Networks that endpoints made through the API may point into although they are private, as
    /// `10.0.0.0/8,192.168.1.5`. The dispatcher needs the same value.
    #[arg(long, env = "WEBHOOK_ALLOWED_NETWORKS", default_value = "")]
    pub webhook_allowed_networks: String,
    /// Shown by `/api/health/detailed` as `environment`, and nothing else.
    #[arg(long, env = "NODE_ENV", default_value = "development")]
    pub node_env: String,
    /// The origins whose pages may call the API, separated by commas; `*`: all, without credentials; empty: none.
    #[arg(long, env = "CORS_ORIGIN", default_value = "*")]
    pub cors_origin: String,
    /// The largest file that can be sent; WhatsApp itself takes 2GB.
    #[arg(long, env = "MEDIA_UPLOAD_MAX", default_value = "10MB")]
    pub media_upload_max: ByteSize,
    /// Networks from which files may be fetched by `url` although they are private, as `10.0.0.0/8,192.168.1.5`.
    #[arg(long, env = "MEDIA_ALLOWED_NETWORKS", default_value = "")]
    pub media_allowed_networks: String,
    /// The control API of a simulated WhatsApp, as `http://127.0.0.1:8080`: the dashboard has a page Phone then, which writes
    /// as its contacts and breaks things. For the demo.
    #[arg(long, env = "SIMULATOR_URL")]
    pub simulator_url: Option<String>,
    #[command(flatten)]
    pub index: IndexSettings,
    #[command(flatten)]
    pub tls: CertificateSettings,
    #[command(flatten)]
    pub limits: ConnectionLimits,
    #[command(flatten)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    pub logging: LogSettings,
}

/// The largest file that WhatsApp takes.
const LARGEST_MEDIA: u64 = 2 << 30;

impl ApiConfig {
    /// The URL of the endpoint `default`; none means that webhooks are disabled.
    pub(crate) fn webhook_url(&self) -> Option<&str> {
        self.webhook_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }

    /// The simulated WhatsApp of the demo.
    pub(crate) fn simulator_url(&self) -> Option<&str> {
        self.simulator_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }

    /// The networks that `WEBHOOK_ALLOWED_NETWORKS` opens.
    pub(crate) fn allowed_networks(&self) -> Result<NetworkList, InvalidNetworks> {
        NetworkList::parse(&self.webhook_allowed_networks)
    }

    /// The networks that `MEDIA_ALLOWED_NETWORKS` opens.
    pub(crate) fn media_networks(&self) -> Result<NetworkList, InvalidNetworks> {
        NetworkList::parse(&self.media_allowed_networks)
    }

    /// The origins that `CORS_ORIGIN` names; an error names the one that cannot be an origin.
    pub(crate) fn origins(&self) -> Result<CorsOrigins, String> {
        let named = self.cors_origin.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        if named.clone().any(|origin| origin == "*") {
            return Ok(CorsOrigins::All);
        }
        named
            .map(|origin| {
                let is_origin =
                    origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
                HeaderValue::from_str(origin).ok().filter(|_| is_origin).ok_or_else(|| origin.to_owned())
            })
            .collect::<Result<_, _>>()
            .map(CorsOrigins::Only)
    }
}

/// Whose pages may call the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CorsOrigins {
    All,
    Only(Vec<HeaderValue>),
}

impl ServiceSettings for ApiConfig {
    fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = self.broker.problems();
        problems.extend(self.webhook.problems());
        problems.extend(self.tls.problems());
        if self.api_key.as_ref().is_none_or(ApiKey::is_empty) {
            problems.push(SettingProblem::new(
                "API_KEY",
                "it is missing: choose a long random key and set it in the environment or in .env, for example \
                 API_KEY=$(openssl rand -hex 32); callers send it as X-API-Key",
            ));
        }
        if self.webhook_url().is_some_and(|url| !is_http_url(url)) {
            problems.push(SettingProblem::new(
                "WEBHOOK_URL",
                "it must be a URL that begins with http:// or https://, or unset to disable webhooks",
            ));
        }
        if self.simulator_url().is_some_and(|url| !is_http_url(url)) {
            problems.push(SettingProblem::new("SIMULATOR_URL", "it must be a URL that begins with http://, or unset"));
        }
        if let Err(error) = self.allowed_networks() {
            problems.push(SettingProblem::new(ALLOWED_NETWORKS, error.to_string()));
        }
        if let Err(error) = self.media_networks() {
            problems.push(SettingProblem::new(remote_file::ALLOWED_NETWORKS, error.to_string()));
        }
        if let Err(origin) = self.origins() {
            problems.push(SettingProblem::new(
                "CORS_ORIGIN",
                format!(
                    "{origin:?} is no origin: write `*`, or origins such as https://example.org separated by commas"
                ),
            ));
        }
        if self.media_upload_max.bytes == 0 || self.media_upload_max.bytes > LARGEST_MEDIA {
            let fix = format!("{} cannot be sent: use a size from 1kB to 2GB, as 10MB", self.media_upload_max);
            problems.push(SettingProblem::new("MEDIA_UPLOAD_MAX", fix));
        }
        problems.extend(self.index.problems());
        problems.extend(self.limits.problems());
        problems
    }

    fn logging(&self) -> &LogSettings {
        &self.logging
    }
}

fn is_http_url(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| lower.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn problems(flags: &[&str]) -> Vec<&'static str> {
        let flags = ["kurir-api"].iter().chain(flags);
        let config = ApiConfig::try_parse_from(flags).map_err(|error| error.to_string()).expect("flags are read");
        config.problems().iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let bad = ["--api-key", "", "--webhook-url", "ftp://x", "--cors-origin", "example.org"];
        assert_eq!(problems(&bad), ["API_KEY", "WEBHOOK_URL", "CORS_ORIGIN"]);
        assert_eq!(problems(&["--api-key", "k", "--webhook-allowed-networks", "lan"]), ["WEBHOOK_ALLOWED_NETWORKS"]);
        assert_eq!(problems(&["--api-key", "k", "--media-upload-max", "3GB"]), ["MEDIA_UPLOAD_MAX"]);
        for wrong in ["0s", "400d"] {
            assert_eq!(problems(&["--api-key", "k", "--index-retention", wrong]), ["INDEX_RETENTION"], "{wrong}");
        }
        assert_eq!(problems(&["--api-key", "k", "--simulator-url", "8080"]), ["SIMULATOR_URL"]);
        let good =
            ["--api-key", "k", "--webhook-url", " ", "--cors-origin", "https://a.example, http://b.example:8080"];
        assert_eq!(problems(&good), [""; 0]);
        assert_eq!(problems(&["--api-key", "k", "--webhook-url", "HTTP://localhost:5678/x"]), [""; 0]);
    }
}
