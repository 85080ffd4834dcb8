//! The binary: settings, log, run until told to stop, exit code
//! (0 as asked, 64 bad settings, 1 anything else).

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use whatsapp_simulator::{Config, Simulator};

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => {
            let asked = !error.use_stderr();
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if asked { 0 } else { 64 });
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,wacore=warn".into()),
        )
        .init();
    if let Some(seed) = config.seed {
        whatsapp_simulator::randomness::seed(seed);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whatsapp-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut simulator = Simulator::start(config).await?;
    eprintln!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = simulator.ended() => return Err(ended),
    }
    simulator.stop().await
}
