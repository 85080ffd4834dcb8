//! Uploads as real clients sent them over TCP (tests/samples/uploads), byte for byte but for path, key and `Connection`.

use crate::{
    api::{Api, KEY},
    clients::{PATH, replies},
    stand_in::Gateway,
};
use kurir_test_harness::{Nats, binaries::repository};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The clients, and the name of the file in each request.
const CAPTURED: [(&str, &str); 22] = [
    ("aiohttp-form-plain", "report.pdf"),
    ("aiohttp-form", "résumé 2.pdf"),
    ("aiohttp-raw", ""),
    ("axios-form-data-buffer", ""),
    ("axios-form-data-stream", "résumé 2.pdf"),
    ("axios-postForm", "report.pdf"),
    ("axios-raw", ""),
    ("curl-form-utf8", "résumé 2.pdf"),
    ("curl-form", "report.pdf"),
    ("curl-raw", ""),
    ("go-form-streamed", "report.pdf"),
    ("go-form", "résumé 2.pdf"),
    ("go-raw", ""),
    ("n8n-form", "résumé 2.pdf"),
    ("n8n-raw", "résumé 2.pdf"),
    ("node-fetch-form", "résumé 2.pdf"),
    ("php-curl-file", "résumé 2.pdf"),
    ("php-curl-plain", "report.pdf"),
    ("php-curl-string", "résumé 2.pdf"),
    ("python-requests-form-utf8", "résumé 2.pdf"),
    ("python-requests-form", "report.pdf"),
    ("python-requests-raw", ""),
];

/// The request with Kurir's path and key, and with `Connection: close`; everything else stays as the client wrote it.
fn for_kurir(captured: &[u8]) -> Vec<u8> {
    let line_ends = captured.windows(2).position(|bytes| bytes == b"\r\n").expect("a request line");
    let head_ends = captured.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let line = std::str::from_utf8(&captured[..line_ends]).expect("text");
    let target = line.split(' ').nth(1).expect("a target");
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<&str> = query.split('&').filter(|part| !part.starts_with("client=")).collect();
    let mut request = format!("POST {PATH}?{} HTTP/1.1\r\n", query.join("&")).into_bytes();
    for header in std::str::from_utf8(&captured[line_ends + 2..head_ends]).expect("text").split("\r\n") {
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !["x-api-key", "connection", "authorization"].contains(&name.as_str()) {
            request.extend_from_slice(format!("{header}\r\n").as_bytes());
        }
    }
    request.extend_from_slice(format!("X-API-Key: {KEY}\r\nConnection: close").as_bytes());
    request.extend_from_slice(&captured[head_ends..]);
    request
}

#[tokio::test]
async fn the_captured_requests_of_real_clients_are_read() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    for (client, file_name) in CAPTURED {
        let file = repository().join(format!("tests/samples/uploads/{client}.http"));
        let captured = std::fs::read(file).expect("a sample");
        let mut connection = TcpStream::connect(api.address()).await.expect("a connection");
        connection.write_all(&for_kurir(&captured)).await.expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("an answer");
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{client}: {answer}");
        let (_, said) = gateway.commands().pop().expect("a command");
        assert_eq!(said["fileName"].as_str().unwrap_or_default(), file_name, "{client}");
        assert_eq!((&said["mimetype"], &said["file"]["size"]), (&json!("application/pdf"), &json!(45)), "{client}");
        assert!(said["to"].as_str().is_some_and(|to| to.ends_with("@s.whatsapp.net")), "{client}: {said}");
    }
}
