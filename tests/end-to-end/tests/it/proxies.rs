//! Sessions that reach WhatsApp through a proxy: real proxies, which say what goes through them. The connection and the files
//! go through, and while the proxy is away, nothing goes around it.

use crate::expect::{text, webhook};
use kurir_test_harness::{
    Port, Process, Stack,
    stack::{SOON, StackPlan},
    until,
};
use serde_json::json;
use std::{path::PathBuf, process::Command};
use tempfile::TempDir;

const CONTACT: &str = "6281234567890";
/// A relay that takes the TLS off: what stands before an HTTP proxy makes it an HTTPS proxy.
const TLS_RELAY: &str = r"
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = socket.create_server(('127.0.0.1', int(sys.argv[3])))
def copy(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    for side in (source, to):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(plain):
    inside = context.wrap_socket(plain, server_side=True)
    outside = socket.create_connection(('127.0.0.1', int(sys.argv[4])))
    threading.Thread(target=copy, args=(outside, inside), daemon=True).start()
    copy(inside, outside)
print('ready', file=sys.stderr, flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";

/// A program of the system; none if it is not installed, which is said aloud.
fn installed(program: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|folder| PathBuf::from(folder).join(program));
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: there is no {program} here (Debian: apt-get install microsocks tinyproxy-bin openssl)");
    }
    found
}

struct Proxy {
    process: Process,
    port: Port,
    folder: TempDir,
}

impl Proxy {
    /// tinyproxy, which speaks HTTP, with the user `me` and the password `s3cret-word`.
    async fn http() -> Option<Self> {
        let program = installed("tinyproxy")?;
        let (port, folder) = (Port::reserve(), TempDir::new().unwrap());
        let settings = format!(
            "Port {}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth me s3cret-word\nTimeout 600\nMaxClients 100\nLogLevel Connect\n",
            port.number()
        );
        let file = folder.path().join("tinyproxy.conf");
        std::fs::write(&file, settings).unwrap();
        let arguments = ["-d".into(), "-c".into(), file.into_os_string()];
        let process = Process::spawn_with_arguments("tinyproxy", program, arguments, [("PATH", "/usr/bin:/bin")]);
        let proxy = Self { process, port, folder };
        proxy.listens().await;
        Some(proxy)
    }

    /// microsocks, which speaks SOCKS 5, with the same user.
    async fn socks5() -> Option<Self> {
        let program = installed("microsocks")?;
        let port = Port::reserve();
        let number = port.number().to_string();
        let arguments = ["-i", "127.0.0.1", "-p", &number, "-u", "me", "-P", "s3cret-word"];
        let process = Process::spawn_with_arguments("microsocks", program, arguments, [("PATH", "/usr/bin:/bin")]);
        let proxy = Self { process, port, folder: TempDir::new().unwrap() };
        proxy.listens().await;
        Some(proxy)
    }

    /// A relay before an HTTP proxy, with a certificate of its own.
    async fn tls_before(http: &Self) -> Option<Self> {
        let openssl = installed("openssl")?;
        let (port, folder) = (Port::reserve(), TempDir::new().unwrap());
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
        let mut make = Command::new(openssl);
        make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]);
        make.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"]);
        let made = make.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let numbers = [port.number().to_string(), http.port.number().to_string()];
        let files = [certificate.into_os_string(), key.into_os_string()];
        let arguments =
            ["-c".into(), TLS_RELAY.into()].into_iter().chain(files).chain(numbers.into_iter().map(Into::into));
        let mut process = Process::spawn_with_arguments(
            "TLS relay",
            "python3",
            arguments,
            [("PATH", "/usr/local/bin:/usr/bin:/bin")],
        );
        process.wait_ready(SOON).await;
        Some(Self { process, port, folder })
    }

    async fn listens(&self) {
        until("the proxy to listen", SOON, || async {
            tokio::net::TcpStream::connect(self.port.addr()).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// How often it was asked for a connection to this port.
    fn connections_to(&self, port: u16) -> usize {
        let target = format!("127.0.0.1:{port}");
        self.process
            .output()
            .lines()
            .filter(|line| line.to_lowercase().contains("connect") && line.contains(&target))
            .count()
    }

    fn url(&self, scheme: &str, password: &str) -> String {
        format!("{scheme}://me:{password}@{}", self.port.addr())
    }
}

/// What the gateway says of its session.
async fn has_status(stack: &Stack, status: &str) -> serde_json::Value {
    until(format!("the session to be {status}"), 2 * SOON, || async {
        let (_, body) = stack.api.get("/api/whatsapp/status").await;
        if body["data"]["status"] == status { Ok(body["data"].clone()) } else { Err(body) }
    })
    .await
}

/// A message with a file each way; `through` is asked how many connections went to WhatsApp and to its files.
async fn everything_goes_through(stack: &Stack, counted: &Proxy) {
    let port = |url: &str| url.rsplit(':').next().unwrap().split('/').next().unwrap().parse::<u16>().unwrap();
    let (sockets, files) = (port(&stack.simulator.websocket_url()), stack.simulator.page().port());
    stack
        .simulator
        .contact_sends(
            CONTACT,
            json!({"type": "image", "caption": "through", "base64": "R0lGODlhAQABAAAAACwAAAAAAQABAAAC"}),
        )
        .await;
    let event = webhook(&stack.receiver, "the image", |body| body["data"]["content"]["caption"] == "through").await;
    assert_eq!(event.json()["data"]["content"]["mediaDownloaded"], true, "{}", event.json());
    let (status, sent) = stack
        .api
        .post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "answered through the proxy"}))
        .await;
    assert_eq!(status, 200, "{sent}");
    assert!(counted.connections_to(sockets) >= 1, "{}", counted.process.output());
    assert!(counted.connections_to(files) >= 1, "{}", counted.process.output());
}

fn plan(url: &str) -> StackPlan {
    Stack::plan().gateway("WHATSAPP_PROXY", url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_proxy_carries_the_connection_and_the_files() {
    let Some(proxy) = Proxy::http().await else { return };
    let stack = plan(&proxy.url("http", "s3cret-word")).start().await;
    everything_goes_through(&stack, &proxy).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socks_proxy_carries_the_connection_and_the_files_and_nothing_goes_around_it() {
    let Some(mut proxy) = Proxy::socks5().await else { return };
    let stack = plan(&proxy.url("socks5", "s3cret-word")).start().await;
    everything_goes_through(&stack, &proxy).await;
    proxy.process.kill_9().await;
    let away = has_status(&stack, "proxy_unavailable").await;
    let reason = away["reason"].as_str().unwrap();
    assert!(reason.contains("socks5://me:••••@127.0.0.1") && reason.contains("failed to connect"), "{reason}");
    stack.simulator.contact_writes(CONTACT, "while it was away").await;
    let (status, refused) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "waits"})).await;
    assert_ne!(status, 200, "{refused}");
    let came = stack.receiver.requests().iter().any(|request| text(&request.json()) == "while it was away");
    assert!(!came, "a message came around the proxy");
    proxy.process.start_again();
    has_status(&stack, "connected").await;
    webhook(&stack.receiver, "the message that waited", |body| text(body) == "while it was away").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_proxy_carries_the_connection_and_the_files() {
    let Some(http) = Proxy::http().await else { return };
    let Some(proxy) = Proxy::tls_before(&http).await else { return };
    let certificate = proxy.folder.path().join("certificate.pem");
    let url = proxy.url("https", "s3cret-word");
    let stack = plan(&url).gateway("SSL_CERT_FILE", certificate.to_str().unwrap()).start().await;
    everything_goes_through(&stack, &http).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_a_state_and_no_password_is_shown() {
    let (Some(http), Some(socks)) = (Proxy::http().await, Proxy::socks5().await) else { return };
    for (url, expected) in [(http.url("http", "wr0ng-word"), "40"), (socks.url("socks5", "wr0ng-word"), "WhatsApp")] {
        let stack = plan(&url).unpaired().start().await;
        let away = has_status(&stack, "proxy_unavailable").await;
        assert!(away["reason"].as_str().unwrap().contains(expected), "{away}");
        let (_, sessions) = stack.api.get("/api/sessions").await;
        for told in [away.to_string(), sessions.to_string(), stack.gateway.output()] {
            assert!(!told.contains("wr0ng-word"), "the password is shown: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_proxy_of_its_own_that_can_be_changed() {
    let (Some(first), Some(second)) = (Proxy::socks5().await, Proxy::http().await) else { return };
    let stack = Stack::start().await;
    let sockets: u16 =
        stack.simulator.websocket_url().split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let session = json!({"id": "sales", "sendGap": "0s", "proxy": first.url("socks5", "s3cret-word")});
    let (status, made) = stack.api.post("/api/sessions", session).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["data"]["proxy"], format!("socks5://me:••••@{}", first.port.addr()));
    let connects = |proxy: &Proxy| {
        let proxy = (proxy.port.number(), proxy.connections_to(sockets));
        if proxy.1 > 0 { Ok(()) } else { Err(proxy) }
    };
    until("the session to go through its proxy", SOON, || async { connects(&first) }).await;
    let change = json!({"proxy": second.url("http", "s3cret-word")});
    let (status, changed) = stack.api.call(reqwest::Method::PATCH, "/api/sessions/sales", change).await;
    assert_eq!(status, 200, "{changed}");
    until("the session to go through its new proxy", SOON, || async { connects(&second) }).await;
    let wrong = json!({"proxy": "ftp://proxy"});
    let (status, refused) = stack.api.call(reqwest::Method::PATCH, "/api/sessions/sales", wrong).await;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_session")), "{refused}");
    stack.finish().await;
}
