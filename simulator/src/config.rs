//! The settings of the simulator: one struct, flag and environment.
//! Promises that every default works on its own. Leaves reading them to `main`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::phone_number::PhoneNumber;

/// A fast mobile network.
const DEFAULT_LATENCY_MS: u64 = 10;

/// A WhatsApp server for tests: clients pair with it, log in, receive and send.
#[derive(Debug, Clone, Parser)]
#[command(name = "whatsapp-simulator", version)]
pub struct Config {
    /// Where the WebSocket (`/ws/chat`) and the control API listen.
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where the media store listens (HTTPS, certificate made at start). Port 0: any free one.
    #[arg(long, env = "SIMULATOR_MEDIA_LISTEN", default_value = "127.0.0.1:0")]
    pub media_listen: SocketAddr,

    /// The phone scans every QR code posted with `?auto=true` (else those are ignored).
    #[arg(
        long,
        env = "SIMULATOR_AUTO_SCAN",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub auto_scan: bool,

    /// Pair every client with this number, whatever its push name.
    #[arg(long, env = "SIMULATOR_ACCOUNT")]
    pub account: Option<PhoneNumber>,

    /// A folder to keep keys, accounts and queues in; without it they end with the process.
    #[arg(long, env = "SIMULATOR_STATE")]
    pub state: Option<PathBuf>,

    /// Whether accounts write to LIDs (as WhatsApp does today) or to phone numbers.
    #[arg(
        long,
        env = "SIMULATOR_LID_MIGRATED",
        default_value_t = true,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub lid_migrated: bool,

    /// Derive every key, id and code from this number, so that two runs with the same calls in the same order are alike.
    /// Not together with a state of an earlier run.
    #[arg(long, env = "SIMULATOR_SEED")]
    pub seed: Option<u64>,

    /// Milliseconds that every message takes on its way, in each direction. Clients rely on a network between them
    /// and WhatsApp: without any delay some of them miss the end of their login.
    #[arg(long, env = "SIMULATOR_LATENCY_MS", default_value_t = DEFAULT_LATENCY_MS)]
    pub latency_ms: u64,
}

impl Config {
    /// Free loopback ports, nothing kept, no automatic scan: what an embedding test starts from.
    pub fn for_tests() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: any,
            media_listen: any,
            auto_scan: false,
            account: None,
            state: None,
            lid_migrated: true,
            seed: None,
            latency_ms: DEFAULT_LATENCY_MS,
        }
    }
}
