//! The gateway's settings, from flags and the environment, and the rules between them.

use kurir_chassis::{
    broker::BrokerSettings,
    byte_size::ByteSize,
    key_ring::KeyRing,
    settings::{ServiceSettings, SettingProblem},
    telemetry::LogSettings,
};
use kurir_contract::{proxy_url::ProxyUrl, session_record::SessionRecord};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Connects one WhatsApp session with NATS.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "kurir-gateway", version)]
pub struct GatewayConfig {
    /// The folder in which the WhatsApp session is kept; who can read it can read the account's messages.
    #[arg(long, env = "WHATSAPP_SESSION_PATH", default_value = "./sessions")]
    pub whatsapp_session_path: PathBuf,
    /// Where the sessions' keys are kept: `sqlite` in `WHATSAPP_SESSION_PATH`, or `nats`, sealed with `SESSION_KEY`, so that any
    /// gateway goes on with a session whose gateway is gone; the folder is scratch then.
    #[arg(long, env = "SESSION_STORE", value_enum, default_value_t = SessionStoreKind::Sqlite)]
    pub session_store: SessionStoreKind,
    /// Seals keys in NATS (`SESSION_STORE=nats`): 32 characters or more, the same for all gateways. An older key stands behind a
    /// comma until everything is written again.
    #[arg(long, env = "SESSION_KEY", hide_env_values = true)]
    pub session_key: Option<KeyRing>,
    /// Log level of the WhatsApp client; at `debug` and `trace` its log holds phone numbers.
    #[arg(long, env = "WHATSAPP_LOG_LEVEL", value_enum, default_value_t = WhatsappLogLevel::Info)]
    pub whatsapp_log_level: WhatsappLogLevel,
    /// Connects elsewhere than to WhatsApp, for example to its simulator: `ws://127.0.0.1:8080/ws/chat`.
    #[arg(long, env = "WHATSAPP_URL")]
    pub whatsapp_url: Option<String>,
    /// A proxy to WhatsApp, for the connection and for files: `http://`, `https://` or `socks5://`, as
    /// `socks5://user:password@proxy:1080`. Without the proxy nothing is connected.
    #[arg(long, env = "WHATSAPP_PROXY", hide_env_values = true)]
    pub whatsapp_proxy: Option<ProxyUrl>,
    /// The name that the account shows to others; unset: the one that the phone has.
    #[arg(long, env = "WHATSAPP_PUSH_NAME")]
    pub whatsapp_push_name: Option<String>,
    /// Whether the account appears online while it is connected; the phone stays quiet then.
    #[arg(long, env = "WHATSAPP_MARK_ONLINE", default_value_t = false, action = clap::ArgAction::Set)]
    pub whatsapp_mark_online: bool,
    /// Whether status updates of contacts are events, too.
    #[arg(long, env = "WHATSAPP_STATUS_BROADCAST", default_value_t = false, action = clap::ArgAction::Set)]
    pub whatsapp_status_broadcast: bool,
    /// Whether the past that the phone tells after a pairing is events (`history.sync`), too.
    #[arg(long, env = "WHATSAPP_HISTORY_SYNC", default_value_t = false, action = clap::ArgAction::Set)]
    pub whatsapp_history_sync: bool,
    /// How long a message that cannot be decrypted may take to come again before `message.undecryptable` tells of it.
    #[arg(long, env = "WHATSAPP_UNDECRYPTABLE_AFTER", default_value = "60s", value_parser = humantime::parse_duration)]
    pub whatsapp_undecryptable_after: Duration,
    /// Whether files of messages are downloaded.
    #[arg(long, env = "MEDIA_DOWNLOAD", default_value_t = true, action = clap::ArgAction::Set)]
    pub media_download: bool,
    /// The largest file that is downloaded.
    #[arg(long, env = "MEDIA_MAX_SIZE", default_value = "100MB")]
    pub media_max_size: ByteSize,
    /// How long files are kept. Of a store that is there already, an operator changes it with `nats stream edit`.
    #[arg(long, env = "MEDIA_MAX_AGE", default_value = "30d", value_parser = humantime::parse_duration)]
    pub media_max_age: Duration,
    /// How long an event waits for its file; then it goes out without, and `media.downloaded` follows.
    #[arg(long, env = "MEDIA_WAIT", default_value = "20s", value_parser = humantime::parse_duration)]
    pub media_wait: Duration,
    /// Whether events with a content hold the whole message in `raw`, too, as protobuf's JSON without keys.
    #[arg(long, env = "INCLUDE_RAW", default_value_t = false, action = clap::ArgAction::Set)]
    pub include_raw: bool,
    /// Whether events in NATS carry the headers of CloudEvents 1.0, too: some 160 bytes each.
    #[arg(long, env = "CLOUD_EVENTS", default_value_t = false, action = clap::ArgAction::Set)]
    pub cloud_events: bool,
    /// How long a message waits for NATS before the gateway leaves WhatsApp, which keeps the messages meanwhile.
    #[arg(long, env = "BROKER_WAIT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub broker_wait: Duration,
    /// How long nothing may come from WhatsApp before it is asked whether it is there, and left if it is not.
    #[arg(long, env = "WHATSAPP_SILENCE", default_value = "60s", value_parser = humantime::parse_duration)]
    pub whatsapp_silence: Duration,
    /// How long only answers to pings may come before WhatsApp is asked something that its servers must answer.
    #[arg(long, env = "WHATSAPP_PROBE_EVERY", default_value = "15m", value_parser = humantime::parse_duration)]
    pub whatsapp_probe_every: Duration,
    /// For how long the account's phone must be away before `session.phone_offline` warns; WhatsApp removes this device
    /// after 14 days.
    #[arg(long, env = "WHATSAPP_PHONE_OFFLINE_AFTER", default_value = "12d", value_parser = humantime::parse_duration)]
    pub whatsapp_phone_offline_after: Duration,
    /// How long one try of a send may take until WhatsApp's acknowledgement.
    #[arg(long, env = "WHATSAPP_SEND_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration)]
    pub whatsapp_send_timeout: Duration,
    /// How long one try of a send with a file may take, its upload included.
    #[arg(long, env = "WHATSAPP_MEDIA_TIMEOUT", default_value = "60s", value_parser = humantime::parse_duration)]
    pub whatsapp_media_timeout: Duration,
    /// The pauses between the tries of a send: one try more than there are pauses.
    #[arg(long, env = "WHATSAPP_SEND_PAUSES", default_value = "2s,4s", value_delimiter = ',', value_parser = humantime::parse_duration)]
    pub whatsapp_send_pauses: Vec<Duration>,
    /// The least time between two messages of the session, since WhatsApp bans numbers that write too fast; `0s`: none.
    #[arg(long, env = "SEND_GAP", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub send_gap: Duration,
    /// Up to this much is added to the gap, by chance.
    #[arg(long, env = "SEND_JITTER", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub send_jitter: Duration,
    /// People that the session has no chat with yet whom it writes to in a day; more wait until the next. 0: any number.
    #[arg(long, env = "NEW_CHATS_PER_DAY", default_value_t = 200)]
    pub new_chats_per_day: u32,
    /// The most sessions that this gateway runs; unset: any number.
    #[arg(long, env = "GATEWAY_MAX_SESSIONS")]
    pub gateway_max_sessions: Option<usize>,
    /// Of one session: whether keys that were made elsewhere are on their way.
    #[arg(skip)]
    pub awaits_keys: bool,
    /// How many sessions start in a second.
    #[arg(long, env = "SESSION_START_RATE", default_value_t = 10)]
    pub session_start_rate: u32,
    /// Address for `/livez`, `/readyz` and `/metrics`; unset: none.
    #[arg(long, env = "HEALTH_LISTEN")]
    pub health_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where a session's keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SessionStoreKind {
    Sqlite,
    Nats,
}

/// The levels of the program that Kurir replaces, which logged with pino.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WhatsappLogLevel {
    Trace,
    #[value(alias = "verbose")]
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    Error,
    Fatal,
    Silent,
}

/// A hook that waits longer than WhatsApp's keep-alive would let the connection die first.
const LONGEST_BROKER_WAIT: Duration = Duration::from_secs(300);
/// A chat waits for the file of its message.
const LONGEST_MEDIA_WAIT: Duration = Duration::from_secs(60);
/// WhatsApp's answers take up to a second, so a shorter silence means nothing.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);
/// WhatsApp's own limit for a phone that is away.
const DEVICE_REMOVED_AFTER: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// More tries help nobody: the caller has given up.
const MOST_PAUSES: usize = 10;
/// A message a minute is slow enough. A larger gap looks like a hang.
const LONGEST_GAP: Duration = Duration::from_secs(60);
/// The targets of the WhatsApp client's log lines. A directive matches every target that starts with it.
const WHATSAPP_TARGETS: [&str; 15] = [
    "whatsapp_rust",
    "wacore",
    "Client",
    "Bot",
    "AppState",
    "Blocking",
    "Chatstate",
    "MessageQueue",
    "Mex",
    "PresenceHandler",
    "TcToken",
    "UnifiedSession",
    "blocklist",
    "usync",
    "Passkey",
];

/// Targets of which only warnings are logged.
const TELLTALES: [&str; 4] =
    ["Client/PairCode", "Bot/PairCode", "whatsapp_rust::pair", "whatsapp_rust::handlers::notification::device"];

impl ServiceSettings for GatewayConfig {
    fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = self.broker.problems();
        if let Some(url) = &self.whatsapp_url
            && !(url.starts_with("ws://") || url.starts_with("wss://"))
        {
            problems.push(SettingProblem::new(
                "WHATSAPP_URL",
                format!("{url:?} is no WebSocket URL: begin with ws:// or wss://"),
            ));
        }
        match (self.session_store, &self.session_key) {
            (SessionStoreKind::Nats, None) => problems.push(SettingProblem::new(
                "SESSION_KEY",
                "keys in NATS are sealed with it: set it to the same 32 characters or more at each gateway, as `openssl rand -hex 32` makes them",
            )),
            (SessionStoreKind::Sqlite, _) | (SessionStoreKind::Nats, Some(_)) => {}
        }
        if self.broker_wait.is_zero() || self.broker_wait > LONGEST_BROKER_WAIT {
            problems.push(SettingProblem::new("BROKER_WAIT", "use more than 0 and at most 300s"));
        }
        if self.media_max_size.bytes == 0 {
            problems
                .push(SettingProblem::new("MEDIA_MAX_SIZE", "0 bytes are no file: set MEDIA_DOWNLOAD=false instead"));
        }
        if self.media_wait > LONGEST_MEDIA_WAIT {
            problems.push(SettingProblem::new(
                "MEDIA_WAIT",
                "use at most 60s: a chat waits as long for the file of a message",
            ));
        }
        for (variable, time, use_instead) in [
            ("WHATSAPP_SILENCE", self.whatsapp_silence, "60s"),
            ("WHATSAPP_PROBE_EVERY", self.whatsapp_probe_every, "15m"),
        ] {
            if time < SHORTEST_SILENCE {
                problems.push(SettingProblem::new(
                    variable,
                    format!("WhatsApp would be asked all the time: use {use_instead}"),
                ));
            }
        }
        if self.whatsapp_phone_offline_after.is_zero() || self.whatsapp_phone_offline_after > DEVICE_REMOVED_AFTER {
            problems.push(SettingProblem::new(
                "WHATSAPP_PHONE_OFFLINE_AFTER",
                "WhatsApp removes this device after 14 days: use more than 0 and at most 14d",
            ));
        }
        if self.whatsapp_send_timeout.is_zero() {
            problems.push(SettingProblem::new("WHATSAPP_SEND_TIMEOUT", "0 leaves WhatsApp no time to answer: use 30s"));
        }
        if self.whatsapp_media_timeout.is_zero() {
            problems.push(SettingProblem::new("WHATSAPP_MEDIA_TIMEOUT", "0 leaves no time for an upload: use 60s"));
        }
        if self.whatsapp_send_pauses.len() > MOST_PAUSES {
            problems.push(SettingProblem::new(
                "WHATSAPP_SEND_PAUSES",
                format!("name at most {MOST_PAUSES} pauses, as 2s,4s"),
            ));
        }
        if self.session_start_rate == 0 {
            problems.push(SettingProblem::new("SESSION_START_RATE", "0 starts no session: use 10"));
        }
        for (variable, pause) in [("SEND_GAP", self.send_gap), ("SEND_JITTER", self.send_jitter)] {
            if pause > LONGEST_GAP {
                problems.push(SettingProblem::new(variable, "use at most 60s"));
            }
        }
        problems
    }

    fn logging(&self) -> &LogSettings {
        &self.log
    }

    fn log_filter(&self) -> String {
        let level = match self.whatsapp_log_level {
            WhatsappLogLevel::Trace => "trace",
            WhatsappLogLevel::Debug => "debug",
            WhatsappLogLevel::Info => "info",
            WhatsappLogLevel::Warn => "warn",
            WhatsappLogLevel::Error | WhatsappLogLevel::Fatal => "error",
            WhatsappLogLevel::Silent => "off",
        };
        let mut filter: String = WHATSAPP_TARGETS.iter().map(|target| format!("{target}={level},")).collect();
        // At `info` these log whole phone numbers and the pairing code, which nobody may read in a log.
        for target in TELLTALES {
            filter.push_str(target);
            filter.push_str("=warn,");
        }
        // Last, so that an operator's own directive for the same target wins.
        filter.push_str(&self.log.log_level);
        filter
    }
}

impl GatewayConfig {
    /// The keys that seal sessions in NATS; none if they are in the folder.
    #[must_use]
    pub fn journal_keys(&self) -> Option<&KeyRing> {
        match self.session_store {
            SessionStoreKind::Nats => self.session_key.as_ref(),
            SessionStoreKind::Sqlite => None,
        }
    }

    /// The settings of one session: those of the gateway, but for what the session has of its own.
    #[must_use]
    pub fn for_session(&self, record: &SessionRecord) -> Self {
        let own = &record.settings;
        Self {
            awaits_keys: record.awaits_keys,
            whatsapp_mark_online: own.mark_online.unwrap_or(self.whatsapp_mark_online),
            whatsapp_history_sync: own.history_sync.unwrap_or(self.whatsapp_history_sync),
            whatsapp_status_broadcast: own.status_broadcast.unwrap_or(self.whatsapp_status_broadcast),
            whatsapp_proxy: own.proxy.clone().or_else(|| self.whatsapp_proxy.clone()),
            media_download: own.media_download.unwrap_or(self.media_download),
            send_gap: own.send_gap_ms.map_or(self.send_gap, Duration::from_millis),
            new_chats_per_day: own.new_chats_per_day.unwrap_or(self.new_chats_per_day),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn config(flags: &[&str]) -> GatewayConfig {
        GatewayConfig::parse_from(["kurir-gateway"].iter().chain(flags))
    }

    #[test]
    fn each_problem_names_its_variable() {
        assert_eq!(config(&[]).problems(), []);
        let variables = |config: GatewayConfig| -> Vec<_> {
            config.problems().into_iter().map(|problem| problem.variable).collect()
        };
        let wrong = config(&["--whatsapp-url", "http://x", "--broker-wait", "1h", "--whatsapp-send-timeout", "0s"]);
        assert_eq!(variables(wrong), ["WHATSAPP_URL", "BROKER_WAIT", "WHATSAPP_SEND_TIMEOUT"]);
        assert_eq!(variables(config(&["--send-gap", "61s", "--send-jitter", "1h"])), ["SEND_GAP", "SEND_JITTER"]);
        assert_eq!(variables(config(&["--session-store", "nats"])), ["SESSION_KEY"]);
        let wrong = config(&["--media-max-size", "0MB", "--media-wait", "2m"]);
        assert_eq!(variables(wrong), ["MEDIA_MAX_SIZE", "MEDIA_WAIT"]);
        let wrong = config(&["--whatsapp-silence", "1ms", "--whatsapp-phone-offline-after", "15d"]);
        assert_eq!(variables(wrong), ["WHATSAPP_SILENCE", "WHATSAPP_PHONE_OFFLINE_AFTER"]);
    }

    #[test]
    fn the_defaults_are_the_contract() {
        let config = config(&[]);
        assert_eq!(config.whatsapp_session_path, PathBuf::from("./sessions"));
        assert_eq!((config.media_download, config.media_max_size.bytes), (true, 100 << 20));
        assert_eq!(
            (config.media_max_age, config.media_wait),
            (Duration::from_secs(30 * 86_400), Duration::from_secs(20))
        );
        assert_eq!(config.whatsapp_send_timeout, Duration::from_secs(30));
        assert_eq!(config.whatsapp_media_timeout, Duration::from_secs(60));
        assert_eq!(config.whatsapp_send_pauses, [Duration::from_secs(2), Duration::from_secs(4)]);
    }

    #[test]
    fn an_operators_directive_comes_after_ours() {
        let config = config(&["--whatsapp-log-level", "silent", "--log-level", "info,wacore=trace"]);
        let filter = config.log_filter();
        assert!(filter.starts_with("whatsapp_rust=off,wacore=off,"), "{filter}");
        assert!(filter.ends_with("info,wacore=trace"), "{filter}");
    }
}
