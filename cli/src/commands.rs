//! What a user can type: every command with its arguments.

use crate::history::escape;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use reqwest::Url;
use std::{net::SocketAddr, path::PathBuf};

/// A command of the user.
#[derive(Subcommand)]
pub enum CliCommand {
    #[command(flatten)]
    Api(ApiCommand),
    #[command(flatten)]
    Local(LocalCommand),
}

/// A command that needs neither the API nor a key.
#[derive(Subcommand)]
pub enum LocalCommand {
    /// Exits with 0 if a service's `/readyz` says that it is ready: the health check of the images.
    Ready {
        /// Such as http://127.0.0.1:9000/readyz.
        readyz: Url,
    },
    /// An example receiver: answers 200 to every webhook and prints its body, one line of JSON each.
    Receive {
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
    },
    /// Prints the completions of a shell, as in `kurir completions bash > /etc/bash_completion.d/kurir`.
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Writes the manual, a page for each command, as `kurir man /usr/local/share/man/man1`.
    Man {
        /// It is made if it is missing.
        folder: PathBuf,
    },
}

/// A command that calls the API.
#[derive(Subcommand)]
pub enum ApiCommand {
    /// Checks the webhook; without an argument all four checks, one after another.
    Webhook {
        #[arg(value_enum)]
        check: Option<WebhookCheck>,
    },
    /// Shows a WhatsApp session; exits with 0 only if it is connected.
    Status {
        #[command(flatten)]
        session: SessionChoice,
    },
    /// Shows the QR code to scan with WhatsApp, Linked devices. After a logout it requests a new one.
    Qr {
        #[command(flatten)]
        session: SessionChoice,
    },
    /// Lists the sessions; makes, starts, stops, restarts, deletes and moves one.
    #[command(visible_alias = "session")]
    Sessions {
        #[command(subcommand)]
        command: Option<SessionCommand>,
    },
    /// Sends a text, or a file with the text as its caption.
    Send {
        /// The number with its country code, or a JID.
        to: String,
        #[arg(required_unless_present = "file")]
        text: Option<String>,
        /// A file to send.
        #[arg(long)]
        file: Option<PathBuf>,
        /// How the file is sent; without it, by the ending of its name.
        #[arg(long = "as", value_enum, requires = "file")]
        kind: Option<FileKind>,
        #[command(flatten)]
        session: SessionChoice,
    },
    /// Lists jobs, the newest first; shows and cancels one.
    Jobs {
        #[command(subcommand)]
        command: Option<JobCommand>,
        #[command(flatten)]
        session: SessionChoice,
    },
    /// Lists events that were given up for an endpoint, the oldest first.
    DeadLetters {
        /// Only of this endpoint.
        #[arg(long)]
        endpoint: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Delivers events again, and waits until they are delivered or dead.
    Replay {
        #[command(subcommand)]
        command: ReplayCommand,
        /// Returns at once; `kurir replay list` shows the progress.
        #[arg(long, global = true)]
        no_wait: bool,
    },
    /// Counts where an endpoint's events are; exits with 0 only if none is missing.
    Ledger {
        /// The id of an endpoint.
        #[arg(default_value = "default")]
        endpoint: String,
        /// Only events that were stored since then, as 2026-11-24T13:00:00Z.
        #[arg(long)]
        from: Option<String>,
        /// Only events that were stored before then.
        #[arg(long)]
        to: Option<String>,
    },
    /// Shows everything that happened to a message: the id of its event, its own id, or a sequence.
    Life { id: String },
    /// Prints events as they are stored.
    Tail {
        #[command(flatten)]
        filter: StreamFilter,
    },
    /// Forwards events as they are stored to a program on this machine, signed, and shows its answers.
    Listen {
        /// Such as http://localhost:3001/hook.
        #[arg(long)]
        to: Url,
        /// The secret to sign with, `whsec_…`; a new one if it is missing.
        #[arg(long, env = "KURIR_LISTEN_SECRET", hide_env_values = true)]
        secret: Option<String>,
        #[command(flatten)]
        filter: StreamFilter,
    },
    /// Lists attempts to deliver, the newest first.
    Deliveries {
        /// Only attempts to this endpoint.
        #[arg(long)]
        endpoint: Option<String>,
        /// delivered, refused, failed or filtered.
        #[arg(long)]
        outcome: Option<String>,
        /// Only attempts with this status as the answer.
        #[arg(long)]
        status: Option<u16>,
        /// Only attempts of this chat's events: its JID.
        #[arg(long)]
        chat: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Lists chats, or the messages of one.
    Chats {
        /// The JID of a chat.
        chat: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Lists the endpoints.
    Endpoints,
    /// Looks at the whole installation, and says what is wrong and what to do; exits with 0 if there is no problem.
    Doctor,
    /// Lists, makes and deletes keys of the API.
    Keys {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// The search index.
    Index {
        #[command(subcommand)]
        command: IndexCommand,
    },
}

/// Which session is meant.
#[derive(clap::Args)]
pub struct SessionChoice {
    /// The id of a session.
    #[arg(long, env = "KURIR_SESSION", default_value = "default")]
    session: String,
}

impl SessionChoice {
    /// The path of one of the session's routes.
    pub fn path(&self, route: &str) -> String {
        format!("/api/sessions/{}/whatsapp/{route}", escape(&self.session))
    }
}

/// How a file is sent.
#[derive(Clone, Copy, ValueEnum)]
pub enum FileKind {
    Image,
    Video,
    Audio,
    Document,
}

/// What to do with sessions.
#[derive(Subcommand)]
pub enum SessionCommand {
    /// Lists them.
    List,
    /// Makes one, which starts at once: `kurir qr --session <id>` shows its QR code.
    Create {
        id: String,
        /// A name for people.
        #[arg(long)]
        name: Option<String>,
        /// A proxy to WhatsApp, as socks5://user:password@proxy:1080.
        #[arg(long, env = "KURIR_SESSION_PROXY", hide_env_values = true)]
        proxy: Option<String>,
    },
    Start {
        id: String,
    },
    /// Stops one until it is started, also across restarts.
    Stop {
        id: String,
    },
    /// Connects one again.
    Restart {
        id: String,
    },
    /// Logs one out, ends its jobs and wipes its keys.
    Delete {
        id: String,
        /// The account keeps the device; only the keys are wiped.
        #[arg(long)]
        keep_linked: bool,
    },
    /// Takes over the session of a program that uses Baileys, without a new pairing. Stop that program first.
    Adopt {
        /// Its folder, with `creds.json` in it, which is not changed.
        folder: PathBuf,
        /// The session that gets the keys: one that is not paired.
        #[arg(long, default_value = "default")]
        session: String,
    },
    /// Writes the keys and settings of a stopped session into a file, sealed with a passphrase.
    Export {
        id: String,
        /// The file, which must not exist yet.
        #[arg(long)]
        to: PathBuf,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Makes a session of an exported one.
    Import {
        file: PathBuf,
        /// The id here; without it, the one that the session had.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
}

/// What seals a file.
#[derive(Args)]
pub struct Passphrase {
    /// At least 12 ASCII characters. Set the variable: other users of this machine can read arguments.
    #[arg(long, env = "KURIR_PASSPHRASE", hide_env_values = true)]
    pub passphrase: String,
}

/// What to do with jobs.
#[derive(Subcommand)]
pub enum JobCommand {
    /// Lists them.
    List,
    /// Shows one with what failed in it.
    Show { id: String },
    /// Ends one: what was sent by then is sent.
    Cancel { id: String },
}

/// Which events are delivered again.
#[derive(Subcommand)]
pub enum ReplayCommand {
    /// All dead letters of an endpoint.
    DeadLetters {
        #[arg(long, default_value = "default")]
        endpoint: String,
    },
    /// One dead letter, by its id in `kurir dead-letters`.
    DeadLetter { id: u64 },
    /// All events of an endpoint since a time, as 2026-11-24T13:00:00Z.
    Since {
        time: String,
        #[arg(long, default_value = "default")]
        endpoint: String,
    },
    /// Lists the replays, the newest first.
    List,
    /// Ends one: what was not delivered yet will not be.
    Cancel { id: String },
}

/// Which events are followed.
#[derive(clap::Args)]
pub struct StreamFilter {
    /// Only events of this session.
    #[arg(long)]
    pub session: Option<String>,
    /// Only events of these types, with commas between, as `message.*`.
    #[arg(long = "type")]
    pub types: Option<String>,
    /// Only events of this chat: its JID.
    #[arg(long)]
    pub chat: Option<String>,
    /// Begins behind this sequence; without it, now.
    #[arg(long)]
    pub after: Option<u64>,
}

/// What to do with keys.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Lists them, the oldest first.
    List,
    /// Makes one and prints it, this once.
    Create {
        name: String,
        /// read, send, manage, admin; several with commas between.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// Only these sessions, with commas between.
        #[arg(long, value_delimiter = ',')]
        sessions: Vec<String>,
    },
    /// Deletes one: it is refused from now on.
    Delete { id: String },
}

/// What to do with the search index.
#[derive(Subcommand)]
pub enum IndexCommand {
    /// Makes it again from the streams, and waits until it is.
    Rebuild,
}

/// One check of the webhook.
#[derive(Clone, Copy, ValueEnum)]
pub enum WebhookCheck {
    /// Are webhooks enabled, and where do they go?
    Status,
    /// Delivers a test event.
    Test,
    /// Delivers an event with a type of its own, `custom.event`.
    Custom,
    /// Delivers an event that looks like a received message.
    Message,
}

impl WebhookCheck {
    pub const ALL: [Self; 4] = [Self::Status, Self::Test, Self::Custom, Self::Message];
}
