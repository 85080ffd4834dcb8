//! The API over HTTPS, with an authority that no machine trusts: a renewal, nonsense in the files, plain HTTP, silent peers.

use crate::api::{Api, KEY, SOON};
use kurir_contract::clock;
use kurir_test_harness::{Nats, TestAuthority, until};
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A certificate for the loopback address and its key, as PEM.
fn issue(authority: &TestAuthority) -> (String, String) {
    let (certificate, key) = authority.issue(&["127.0.0.1"], |_| {});
    (certificate.pem(), key.serialize_pem())
}

/// A client that trusts this authority only.
fn client_of(authority: &TestAuthority) -> Client {
    let trusted = Certificate::from_pem(authority.pem().as_bytes()).expect("a certificate");
    Client::builder().tls_certs_only([trusted]).no_proxy().build().expect("a client")
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn of(authority: &TestAuthority) -> Self {
        let files = Self { folder: TempDir::new().expect("a folder") };
        files.write(&issue(authority));
        files
    }

    fn write(&self, (certificate, key): &(String, String)) {
        fs::write(self.path("cert.pem"), certificate).expect("written");
        fs::write(self.path("key.pem"), key).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        [("TLS_CERT_FILE", "cert.pem"), ("TLS_KEY_FILE", "key.pem")]
            .map(|(variable, name)| (variable, self.path(name).display().to_string()))
    }
}

async fn start(nats: &Nats, files: &Files) -> Api {
    let settings = files.settings();
    let settings: Vec<_> = settings.iter().map(|(variable, value)| (*variable, value.as_str())).collect();
    Api::start(nats, &settings).await
}

fn https(api: &Api, path: &str) -> String {
    format!("https://{}{path}", api.address())
}

#[tokio::test]
async fn requests_logins_and_uploads_go_over_https_only() {
    let nats = Nats::start().await;
    let authority = TestAuthority::new();
    let api = start(&nats, &Files::of(&authority)).await;
    let client = client_of(&authority);
    let health = client.get(https(&api, "/api/health")).send().await.expect("an answer");
    assert_eq!((health.status().as_u16(), health.version()), (200, reqwest::Version::HTTP_11));

    let login = client.post(https(&api, "/api/login")).json(&json!({"apiKey": KEY})).send().await.expect("an answer");
    let cookie = login.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(login.status() == 200 && cookie.contains("; Secure"), "{cookie}");

    let metrics = client.get(https(&api, "/metrics")).send().await.expect("an answer").text().await.expect("text");
    let expiry = metrics.lines().find_map(|line| line.strip_prefix("kurir_api_certificate_expiry_timestamp_seconds "));
    let expiry: i64 = expiry.and_then(|expiry| expiry.parse().ok()).expect(&metrics);
    assert!(expiry > clock::now().unix_timestamp(), "{expiry}");

    // An early answer reaches its caller through TLS, too.
    let upload = client.post(https(&api, "/api/webhook/send")).header("X-API-Key", "wrong").body(vec![b'x'; 3_000_000]);
    assert_eq!(upload.send().await.expect("an answer").status(), 401);

    assert!(
        client_of(&TestAuthority::new()).get(https(&api, "/api/health")).send().await.is_err(),
        "any certificate is taken"
    );
    let plain = api.request(Method::GET, "/api/health").send().await.expect("an answer");
    assert_eq!(plain.status(), 400);
    // A client that writes first sees its answer, and not a reset.
    for _ in 0..20 {
        let upload = api.request(Method::POST, "/api/webhook/send").body(vec![b'x'; 300_000]);
        assert_eq!(upload.send().await.expect("an answer").status(), 400);
    }
    let told: Value = plain.json().await.expect("JSON");
    assert_eq!((&told["success"], &told["code"]), (&json!(false), &json!("https_required")), "{told}");
    assert!(api.process.output().contains("listens on https://"));
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart_and_nonsense_is_not() {
    let nats = Nats::start().await;
    let (old, new) = (TestAuthority::new(), TestAuthority::new());
    let files = Files::of(&old);
    let mut api = start(&nats, &files).await;
    let url = https(&api, "/api/health");
    let answers = async |authority: &TestAuthority| client_of(authority).get(&url).send().await.is_ok();
    assert!(answers(&old).await && !answers(&new).await);

    fs::write(files.path("cert.pem"), "no certificate").expect("written");
    api.process.wait_for_line(|line| line.contains("goes on with its earlier certificate"), SOON).await;
    assert!(answers(&old).await);

    files.write(&issue(&new));
    until("the new certificate", SOON, async || answers(&new).await.then_some(())).await;
    assert!(!answers(&old).await);
    fs::remove_file(files.path("key.pem")).expect("removed");
    assert!(answers(&new).await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_ends_the_start_in_plain_words() {
    let nats = Nats::start().await;
    let authority = TestAuthority::new();
    let (files, other) = (Files::of(&authority), Files::of(&authority));
    let [(_, certificate), (_, key)] = files.settings();
    let foreign_key = other.settings()[1].1.clone();
    let missing = files.path("missing.pem").display().to_string();
    let empty = files.path("empty.pem");
    fs::write(&empty, "").expect("written");
    let empty = empty.display().to_string();
    for (certificate, key, variable, says) in [
        (certificate.as_str(), "", "TLS_KEY_FILE", "TLS_CERT_FILE needs it"),
        ("", key.as_str(), "TLS_CERT_FILE", "TLS_KEY_FILE needs it"),
        (&certificate, &missing, "TLS_KEY_FILE", "cannot be read"),
        (&missing, &key, "TLS_CERT_FILE", "cannot be read"),
        (&empty, &key, "TLS_CERT_FILE", "holds no certificate"),
        (&key, &key, "TLS_CERT_FILE", "holds no certificate"),
        (&certificate, &empty, "TLS_KEY_FILE", "no private key"),
        (&certificate, &foreign_key, "TLS_KEY_FILE", "cannot be used"),
    ] {
        let settings = [("TLS_CERT_FILE", certificate), ("TLS_KEY_FILE", key)];
        let mut api = Api::spawn(&nats.url(), &settings);
        assert_eq!(api.process.exited(SOON).await.code(), Some(64), "{variable} {says}");
        let output = api.process.output();
        assert!(output.contains(&format!("bad setting {variable}: ")) && output.contains(says), "{says}: {output}");
        assert!(!output.contains("PRIVATE KEY"), "{output}");
    }
}

#[tokio::test]
async fn peers_that_say_nothing_or_nonsense_keep_nobody_out() {
    let nats = Nats::start().await;
    let authority = TestAuthority::new();
    let files = Files::of(&authority);
    let settings = files.settings();
    let mut settings: Vec<_> = settings.iter().map(|(variable, value)| (*variable, value.as_str())).collect();
    settings.push(("MAX_CONNECTIONS", "16"));
    let api = Api::start(&nats, &settings).await;
    let mut hostile = Vec::new();
    for n in 0..64_u8 {
        let mut stream = TcpStream::connect(api.address()).await.expect("a connection");
        // Nothing; half a record; a record of another kind; a hello that is no hello.
        let said: &[u8] = match n % 4 {
            0 => b"",
            1 => &[22, 3],
            2 => &[22, 3, 1, 0, 4, 9, 9, 9, 9],
            _ => &[22, 3, 1, 255, 255, 1],
        };
        let _ = stream.write_all(said).await;
        hostile.push(stream);
    }
    let health = client_of(&authority).get(https(&api, "/api/health")).timeout(Duration::from_secs(5)).send().await;
    assert_eq!(health.expect("an answer").status(), 200);
    for mut stream in hostile {
        let ended = timeout(SOON, async {
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        });
        ended.await.expect("the handshake of a silent peer ends");
    }
}
