//! The control API, on the kept corpus and mutations of it: no 500, no hang, and the simulator lives on. An input is
//! `METHOD path`, and the body behind the first line.

use crate::support::Sim;
use reqwest::{Client, Method, Url};
use std::time::Duration;

#[test]
fn fuzz_control_api() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::start());
    let client = Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
    kurir_fuzz::run("control", |input| runtime.block_on(ask(&client, sim.base(), input)));
    let statistics = format!("{}/statistics", sim.base());
    let alive = runtime.block_on(async { client.get(statistics).send().await }).unwrap();
    assert_eq!(alive.status(), 200);
    runtime.block_on(sim.stop());
}

async fn ask(client: &Client, base: &str, input: &[u8]) {
    let (line, body) = kurir_fuzz::split_line(input);
    let line = String::from_utf8_lossy(line).into_owned();
    let (method, path) = line.split_once(' ').unwrap_or(("GET", &line));
    let (Ok(method), Ok(url)) =
        (method.parse::<Method>(), Url::parse(&format!("{base}/{}", path.trim_start_matches('/'))))
    else {
        return;
    };
    // Another host, and the socket of WhatsApp itself, which has tests of its own.
    if !url.as_str().starts_with(base) || url.path().starts_with("/ws") {
        return;
    }
    let request = client.request(method, url).header("Content-Type", "application/json").body(body.to_vec());
    match request.send().await {
        Ok(answer) => assert!(answer.status().as_u16() < 500, "{line}: {}", answer.status()),
        // A method that ends the connection, such as CONNECT, gets no answer.
        Err(error) => assert!(!error.is_timeout(), "{line}: {error}"),
    }
}
