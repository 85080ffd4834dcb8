//! Where the API listens.

use crate::api::KEY;
use kurir_test_harness::{Nats, Port, Process, http};
use std::{net::Ipv6Addr, time::Duration};

#[tokio::test]
async fn the_default_host_takes_clients_of_both_families() {
    let nats = Nats::start().await;
    let port = Port::reserve();
    let (number, url) = (port.number().to_string(), nats.url());
    let settings = [("NATS_URL", url.as_str()), ("API_KEY", KEY), ("PORT", number.as_str())];
    let mut api = Process::spawn("kurir-api", env!("CARGO_BIN_EXE_kurir-api"), settings);
    api.wait_ready(Duration::from_secs(20)).await;
    let mut hosts = vec!["127.0.0.1"];
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        hosts.push("[::1]");
    } else {
        println!("SKIPPED for IPv6: this machine has none");
    }
    for host in hosts {
        let answer = http::client().get(format!("http://{host}:{number}/api/health")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{host}");
    }
}
