//! The dispatcher's settings. Each is checked by itself and against the settings that it must agree with.

use crate::{
    delivery::{http_client::proxy::ProxySettings, trust::TrustedCertificates},
    endpoint::{Endpoint, SETTLEMENT_RESERVE, request_url::request_uri},
};
use clap::Parser;
use kurir_chassis::{
    broker::BrokerSettings,
    byte_size::ByteSize,
    settings::{ServiceSettings, SettingProblem},
    telemetry::LogSettings,
    webhook_settings::WebhookSettings,
};
use kurir_contract::{
    address_guard::{InvalidNetworks, NetworkList},
    endpoint::{EndpointId, EndpointSettings, SigningSecret, StoredSecret},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use url::Url;

/// Which events `WEBHOOK_URL` receives when it is set for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WebhookStart {
    // Those that are stored from then on.
    #[default]
    New,
    // Those that were stored before, too.
    All,
}

/// Two bodies with a file of this size fit into the memory that is meant for files.
const LARGEST_BASE64: u64 = 20 << 20;

/// Delivers WhatsApp events to a webhook.
#[derive(Clone, Debug, Parser)]
#[command(name = "kurir-webhook-dispatcher", version)]
pub struct Config {
    /// Where events are delivered to, http or https; empty: webhooks are disabled.
    #[arg(long, env = "WEBHOOK_URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    /// Signs what `WEBHOOK_URL` receives, as Standard Webhooks defines it: `whsec_` and base64 of 24 to 64 bytes.
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true)]
    pub webhook_secret: Option<String>,
    #[command(flatten)]
    pub webhook: WebhookSettings,
    /// What `WEBHOOK_URL` receives when it is set for the first time: `new`, the events from then on, or `all`, also those
    /// that were stored before.
    #[arg(long, env = "WEBHOOK_START", default_value = "new", value_enum)]
    pub webhook_start: WebhookStart,
    /// Networks that endpoints made through the API may lead into although they are private, as
    /// 10.0.0.0/8,192.168.1.5; `WEBHOOK_URL` may point anywhere.
    #[arg(long, env = "WEBHOOK_ALLOWED_NETWORKS")]
    pub webhook_allowed_networks: Option<String>,
    /// A file of certificates (PEM) that are trusted besides those of this machine: authorities, or receivers' own.
    #[arg(long, env = "WEBHOOK_CA_FILE")]
    pub webhook_ca_file: Option<PathBuf>,
    /// The proxy for webhooks on http, as `http://user:password@proxy:3128`. It resolves names itself, so for names that
    /// only it knows `WEBHOOK_ALLOWED_NETWORKS` is not checked.
    #[arg(long, env = "HTTP_PROXY", hide_env_values = true)]
    pub http_proxy: Option<String>,
    /// The same for webhooks on https, which pass it as a tunnel.
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// Hosts that are reached without the proxies, as `n8n,.example.org,10.0.0.0/8`; `*`: all.
    #[arg(long, env = "NO_PROXY")]
    pub no_proxy: Option<String>,
    /// An endpoint that fails for this long is disabled, its events wait; 0s: never.
    #[arg(long, env = "WEBHOOK_DISABLE_AFTER", default_value = "5d", value_parser = humantime::parse_duration)]
    pub webhook_disable_after: Duration,
    /// Received files up to this size come in the body as base64, for endpoints that want it; larger ones as a link.
    #[arg(long, env = "WEBHOOK_BASE64_MAX", default_value = "5MB")]
    pub webhook_base64_max: ByteSize,
    /// Where others reach the API, as https://kurir.example.org: links to media begin with it.
    #[arg(long, env = "PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Fresh events that are delivered at the same time; retries have a quarter of it besides.
    #[arg(long, env = "WEBHOOK_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub webhook_concurrency: u16,
    /// How long one attempt may take: connecting, the answer's headers and its body together.
    #[arg(long, env = "WEBHOOK_TIMEOUT", default_value = "10s", value_parser = humantime::parse_duration)]
    pub webhook_timeout: Duration,
    /// After this time the broker gives an event whose dispatcher died to another one.
    #[arg(long, env = "WEBHOOK_ACK_WAIT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub webhook_ack_wait: Duration,
    /// How long a dispatcher that is asked to stop may finish what it has begun. It ends sooner if all attempts have ended;
    /// an attempt takes up to 60s.
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "65s", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,
    /// Where `/livez`, `/readyz` and `/metrics` are served, as 127.0.0.1:8081; empty: nowhere.
    #[arg(long, env = "HEALTH_LISTEN")]
    pub health_listen: Option<String>,
    #[command(flatten)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

impl Config {
    /// The endpoints that the settings name: `default`, or none.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.default_endpoint(None).into_iter().collect()
    }

    /// The endpoint `default`; none if there is no `WEBHOOK_URL`. `stored`: what the API changed, and where the endpoint
    /// begins. Its URL is the operator's own and may point anywhere.
    #[must_use]
    pub fn default_endpoint(&self, stored: Option<&EndpointSettings>) -> Option<Endpoint> {
        let url = self.webhook_url()?.ok()?;
        // The settings were checked at the start.
        let settings = self.webhook.apply(url.to_string(), stored).ok()?;
        let endpoint = Endpoint::from_settings(EndpointId::default(), settings, self.webhook_ack_wait).ok()?;
        Some(Endpoint {
            url,
            secrets: self.webhook_secret().into_iter().map(StoredSecret::new).collect(),
            timeout: self.webhook_timeout,
            ack_wait: self.webhook_ack_wait,
            concurrency: usize::from(self.webhook_concurrency),
            // The API contract retries every failure.
            retry_policy: endpoint.retry_policy.clone().without_disabling(),
            guarded: false,
            ..endpoint
        })
    }

    /// The address in `HEALTH_LISTEN`.
    #[must_use]
    pub fn health_listen(&self) -> Option<SocketAddr> {
        set(self.health_listen.as_deref()).and_then(|address| address.parse().ok())
    }

    /// The secret that signs the requests to `WEBHOOK_URL`.
    #[must_use]
    pub fn webhook_secret(&self) -> Option<SigningSecret> {
        set(self.webhook_secret.as_deref()).and_then(|secret| secret.parse().ok())
    }

    /// The networks in `WEBHOOK_ALLOWED_NETWORKS`.
    #[must_use]
    pub fn allowed_networks(&self) -> NetworkList {
        self.networks().unwrap_or_default()
    }

    /// The certificates in `WEBHOOK_CA_FILE`.
    ///
    /// # Errors
    /// If the file cannot be used; the text says why.
    pub fn trusted_certificates(&self) -> Result<TrustedCertificates, String> {
        match self.webhook_ca_file.as_deref().filter(|file| !file.as_os_str().is_empty()) {
            Some(file) => TrustedCertificates::read(file),
            None => Ok(TrustedCertificates::default()),
        }
    }

    /// The proxies of the environment. Many programs know these variables in lower case only, so both are read.
    #[must_use]
    pub fn proxies(&self) -> ProxySettings {
        let read = |upper: &Option<String>, lower: &str| {
            set(upper.as_deref()).map(str::to_owned).or_else(|| std::env::var(lower).ok()).unwrap_or_default()
        };
        ProxySettings::new(
            &read(&self.http_proxy, "http_proxy"),
            &read(&self.https_proxy, "https_proxy"),
            &read(&self.no_proxy, "no_proxy"),
        )
    }

    fn networks(&self) -> Result<NetworkList, InvalidNetworks> {
        NetworkList::parse(self.webhook_allowed_networks.as_deref().unwrap_or_default())
    }

    fn webhook_url(&self) -> Option<Result<Url, String>> {
        set(self.webhook_url.as_deref()).map(read_url)
    }
}

impl ServiceSettings for Config {
    fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = self.broker.problems();
        problems.extend(self.webhook.problems());
        if let Some(Err(fix)) = self.webhook_url() {
            problems.push(SettingProblem::new("WEBHOOK_URL", fix));
        }
        if let Some(Err(fix)) = set(self.webhook_secret.as_deref()).map(str::parse::<SigningSecret>) {
            problems
                .push(SettingProblem::new("WEBHOOK_SECRET", format!("{fix}: \"openssl rand -base64 32\" makes one")));
        }
        if let Err(error) = self.networks() {
            problems.push(SettingProblem::new("WEBHOOK_ALLOWED_NETWORKS", error.to_string()));
        }
        if let Err(error) = self.trusted_certificates() {
            problems.push(SettingProblem::new("WEBHOOK_CA_FILE", error));
        }
        for (variable, proxy) in [("HTTP_PROXY", &self.http_proxy), ("HTTPS_PROXY", &self.https_proxy)] {
            if let Some(proxy) = set(proxy.as_deref())
                && !ProxySettings::is_usable(proxy)
            {
                let fix = "is no proxy that speaks HTTP: write http://proxy:3128, with user:password@ if it asks";
                problems.push(SettingProblem::new(variable, fix));
            }
        }
        if let Some(address) = set(self.health_listen.as_deref())
            && address.parse::<SocketAddr>().is_err()
        {
            let fix = format!("{address:?} is no address: write an IP and a port, as 127.0.0.1:8081");
            problems.push(SettingProblem::new("HEALTH_LISTEN", fix));
        }
        if self.webhook_base64_max.bytes > LARGEST_BASE64 {
            let fix = "at most 20MB: larger files are links, or they would fill this process's memory";
            problems.push(SettingProblem::new("WEBHOOK_BASE64_MAX", fix));
        }
        if self.webhook_timeout.is_zero() {
            problems.push(SettingProblem::new("WEBHOOK_TIMEOUT", "an attempt needs time: write at least 1s"));
        }
        let (timeout, ack_wait) = (self.webhook_timeout, self.webhook_ack_wait);
        if ack_wait < timeout + SETTLEMENT_RESERVE {
            let least = humantime::format_duration(timeout + SETTLEMENT_RESERVE);
            let fix = format!(
                "must be at least {least}, which is WEBHOOK_TIMEOUT and 5s, or the broker gives an event to a second \
                 dispatcher while the first still delivers it"
            );
            problems.push(SettingProblem::new("WEBHOOK_ACK_WAIT", fix));
        }
        if self.drain_timeout < timeout {
            let fix = format!(
                "must be at least WEBHOOK_TIMEOUT ({}), so that an attempt that has begun can end",
                humantime::format_duration(timeout)
            );
            problems.push(SettingProblem::new("DRAIN_TIMEOUT", fix));
        }
        problems
    }

    fn logging(&self) -> &LogSettings {
        &self.log
    }
}

/// Treats an empty variable as one that is not set: compose files write them so.
fn set(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// Parses `WEBHOOK_URL`. The error never repeats the URL: its path may be a secret.
fn read_url(url: &str) -> Result<Url, String> {
    const RIGHT: &str = "write a whole URL, as http://localhost:5678/webhook";
    let url = Url::parse(url).map_err(|error| format!("is no URL ({error}): {RIGHT}"))?;
    match url.scheme() {
        "http" | "https" if request_uri(&url).is_err() => Err(format!("cannot be requested: {RIGHT}")),
        "http" | "https" => Ok(url),
        other => Err(format!("{other}: is not supported, only http and https are: {RIGHT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(arguments: &[&str]) -> Vec<&'static str> {
        let arguments = ["kurir-webhook-dispatcher"].iter().chain(arguments);
        let config = Config::try_parse_from(arguments).unwrap();
        config.problems().into_iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn the_defaults_work_and_deliver_nowhere() {
        assert!(problems(&["--webhook-url="]).is_empty());
        let config = Config::try_parse_from(["kurir-webhook-dispatcher", "--webhook-url="]).unwrap();
        assert!(config.endpoints().is_empty());
        assert_eq!(config.health_listen(), None);
    }

    #[test]
    fn settings_that_cannot_work_are_all_told_at_once() {
        for (url, good) in [
            ("http://localhost:5678/webhook", true),
            ("https://user:word@example.org/a?b=c", true),
            ("http://[::1]:80/", true),
            ("ftp://example.org/", false),
            ("localhost:5678", false),
            ("example.org/webhook", false),
            ("http://", false),
            ("http://exa mple/", false),
        ] {
            let expected: &[&str] = if good { &[] } else { &["WEBHOOK_URL"] };
            assert_eq!(problems(&["--webhook-url", url]), expected, "{url}");
        }
        assert_eq!(
            problems(&["--webhook-url=x", "--health-listen=here", "--webhook-base64-max=1GB", "--webhook-timeout=70s"]),
            ["WEBHOOK_URL", "HEALTH_LISTEN", "WEBHOOK_BASE64_MAX", "WEBHOOK_ACK_WAIT", "DRAIN_TIMEOUT"]
        );
    }

    #[test]
    fn a_problem_never_repeats_the_urls_path() {
        let config =
            Config::try_parse_from(["kurir-webhook-dispatcher", "--webhook-url=ftp://example.org/secret"]).unwrap();
        assert!(config.problems().iter().all(|problem| !problem.fix.contains("secret")));
    }
}
