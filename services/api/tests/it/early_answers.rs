//! An answer that is sent while the body is still coming reaches its caller, whatever the caller does first.

use crate::{
    api::{Api, KEY},
    raw::{connect, exchange, post, read_until},
};
use kurir_test_harness::Nats;
use std::process::Command;
use tokio::io::AsyncWriteExt as _;

/// Python's own client writes the whole body before it reads anything, and fails if the connection is reset meanwhile.
const PYTHON: &str = r#"
import collections, http.client, sys
port, path, key, size, content_type = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
body, seen = b"x" * size, collections.Counter()
for _ in range(100):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body=body, headers={"X-API-Key": key, "Content-Type": content_type})
        response = connection.getresponse()
        response.read()
        seen[str(response.status)] += 1
    except Exception as error:
        seen[type(error).__name__] += 1
    connection.close()
print(dict(seen))
"#;

async fn hundred_python_clients(api: &Api, path: &str, key: &str, size: usize, content_type: &str) -> String {
    let port = api.port().to_string();
    let arguments = [port, path.to_owned(), key.to_owned(), size.to_string(), content_type.to_owned()];
    let run = move || Command::new("python3").arg("-c").arg(PYTHON).args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await.expect("a thread").expect("python3");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

#[tokio::test]
async fn each_of_a_hundred_clients_that_write_first_sees_the_answer() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WRONG_KEYS_PER_MINUTE", "0")]).await;
    let (json, form) = ("application/json", "multipart/form-data; boundary=b");
    let send = "/api/whatsapp/send-message";
    for (path, key, size, content_type, status) in [
        (send, "wrong", 300_000, json, "401"),
        (send, "wrong", 5_000_000, json, "401"),
        (send, "", 300_000, json, "401"),
        ("/api/no-such-route", KEY, 300_000, json, "404"),
        ("/api/no-such-route", "", 5_000_000, json, "404"),
        (send, KEY, 20_000_000, json, "413"),
        ("/api/whatsapp/send-media", KEY, 12_000_000, form, "413"),
        ("/api/whatsapp/send-media", KEY, 5_000_000, form, "400"),
    ] {
        let seen = hundred_python_clients(&api, path, key, size, content_type).await;
        assert_eq!(seen, format!("{{'{status}': 100}}"), "{path} with {size} bytes");
    }
}

#[tokio::test]
async fn what_will_be_refused_is_not_asked_for() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let send = "/api/whatsapp/send-message";
    let expecting = "Expect: 100-continue\r\nContent-Length: ";
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    for (path, key, more, status) in [
        (send, "wrong", format!("{expecting}100"), 401),
        ("/api/nothing", KEY, format!("{expecting}100"), 404),
        (send, KEY, format!("{expecting}20000000"), 413),
        ("/api/whatsapp/send-media", KEY, format!("{form}{expecting}20000000"), 413),
    ] {
        let answer = exchange(&api, post(path, key, &more).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "the end of the connection is announced: {answer}");
        assert!(answer.ends_with('}'), "one answer, with its body: {answer}");
    }
    // What is wanted is asked for.
    let mut stream = connect(&api).await;
    let head = post(send, KEY, &format!("{expecting}2"));
    stream.write_all(head.as_bytes()).await.expect("written");
    let asked = read_until(&mut stream, |text| text.ends_with("\r\n\r\n")).await;
    assert_eq!(asked, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.expect("written");
    let answer = read_until(&mut stream, |text| text.ends_with('}')).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_connection_outlives_a_refusal_whose_body_is_short_and_ends_announced_otherwise() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut stream = connect(&api).await;
    for _ in 0..3 {
        let body = "x".repeat(500_000);
        let head = post("/api/whatsapp/send-message", "wrong", "Content-Length: 500000");
        stream.write_all(head.as_bytes()).await.expect("written");
        // The answer comes before the body has.
        let answer = read_until(&mut stream, |text| text.ends_with('}')).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("connection: close"), "{answer}");
        stream.write_all(body.as_bytes()).await.expect("the connection is still there");
    }
    for length in ["Content-Length: 2000000", "Transfer-Encoding: chunked"] {
        let answer = exchange(&api, post("/api/whatsapp/send-message", "wrong", length).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close\r\n"), "{answer}");
    }
}
