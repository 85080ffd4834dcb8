//! The phone of the WhatsApp simulator: it scans each new QR code if the simulator was started with
//! `SIMULATOR_AUTO_SCAN=true`. Compiled only into the gateway for the simulator.

use anyhow::Context as _;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The simulator runs on the same machine, or not at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Only the status line is read.
const STATUS_LINE: usize = 256;

/// Shows the phone a code, and logs its answer.
pub async fn scan_code(whatsapp_url: String, code: String) {
    match tokio::time::timeout(ANSWER_WITHIN, post_code(&whatsapp_url, &code)).await {
        Ok(Ok(status)) => tracing::debug!("the simulated phone answered {status:?}"),
        Ok(Err(error)) => tracing::debug!("failed to show the code to the simulated phone: {error:#}"),
        Err(_) => tracing::debug!("the simulated phone did not answer"),
    }
}

async fn post_code(whatsapp_url: &str, code: &str) -> anyhow::Result<String> {
    let rest = whatsapp_url.strip_prefix("ws://").context("WHATSAPP_URL is no ws:// URL")?;
    let host = rest.split('/').next().unwrap_or(rest);
    let mut connection = TcpStream::connect(host).await.with_context(|| format!("failed to connect to {host}"))?;
    let request = format!(
        "POST /admin/mock-phone/scan-qr?auto=true HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{code}",
        code.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; STATUS_LINE];
    let read = connection.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..read]);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
