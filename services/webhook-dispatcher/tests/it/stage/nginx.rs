//! Debian's nginx before a receiver: HTTP/2 over TLS, as most receivers have it.

use super::tls::Authority;
use kurir_test_harness::{Port, Receiver, until};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::net::TcpStream;

const STARTED_WITHIN: Duration = Duration::from_secs(10);

pub struct Nginx {
    child: Child,
    port: Port,
    folder: TempDir,
}

impl Nginx {
    /// Passes requests to the receiver. None: there is no nginx here, which is said aloud.
    ///
    /// `settings`: further lines of its section `http`.
    pub async fn start(receiver: &Receiver, authority: &Authority, settings: &str) -> Option<Self> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            println!("SKIPPED: there is no nginx here (Debian: apt-get install nginx-light)");
            return None;
        }
        let (port, folder) = (Port::reserve(), tempfile::tempdir().unwrap());
        let at = folder.path().display();
        let (certificate, key) = authority.issue(&["localhost"], |_| {});
        fs::write(folder.path().join("certificate.pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|part| format!("{part}_temp_path {at}/{part};\n"))
            .concat();
        let (upstream, number) = (receiver.addr(), port.number());
        let configuration = format!(
            "daemon off; user root; worker_processes 2; pid {at}/pid; error_log {at}/error.log notice;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; {temporary} {settings}
                upstream receiver {{ server {upstream}; keepalive 64; }}
                server {{
                    listen 127.0.0.1:{number} ssl http2; server_name localhost;
                    ssl_certificate {at}/certificate.pem; ssl_certificate_key {at}/key.pem;
                    location / {{
                        proxy_pass http://receiver; proxy_http_version 1.1; proxy_set_header Connection \"\";
                    }}
                }}
            }}"
        );
        fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let arguments = ["-p", &at.to_string(), "-c", "nginx.conf"];
        let child = Command::new("nginx").args(arguments).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, port, folder };
        until("nginx to listen", STARTED_WITHIN, || async {
            let log = fs::read_to_string(nginx.folder.path().join("error.log")).unwrap_or_default();
            TcpStream::connect(nginx.port.addr()).await.map_err(|error| format!("{error}; {log}"))
        })
        .await;
        Some(nginx)
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/webhook", self.port.number())
    }

    /// What `nginx -s reload` does: new workers take over, and the old ones end their connections.
    pub fn reload(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -s {name} {}", self.child.id());
        let _ = Command::new("sh").arg("-c").arg(script).status();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it may tell them.
        self.signal("TERM");
        let _ = self.child.wait();
    }
}
