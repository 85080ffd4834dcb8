//! A NATS that asks who is there: each login that the settings offer lets a service in, and a wrong one does not.

use async_nats::jetstream::stream;
use kurir_chassis::{
    broker::{Broker, BrokerSettings},
    nats_login::NatsLoginSettings,
};
use kurir_test_harness::{Nats, until};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as TlsKeyPair, SanType};
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

/// A nats-server with a configuration of the test's own, and the folder of its files.
struct ProtectedNats {
    nats: Nats,
    folder: TempDir,
}

impl ProtectedNats {
    async fn start(folder: TempDir, configuration: &str) -> Self {
        let file = folder.path().join("nats.conf");
        fs::write(&file, format!("jetstream {{}}\n{configuration}\n")).unwrap();
        Self { nats: Nats::start_with(file).await, folder }
    }

    async fn with_password() -> Self {
        Self::start(TempDir::new().unwrap(), "authorization { user: kurir, password: \"p@ss/word\" }").await
    }

    /// `{}` in the pattern is where host and port belong.
    fn url(&self, pattern: &str) -> String {
        pattern.replace("{}", &self.nats.addr().to_string())
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.path().join(name))
    }
}

async fn connect(nats_url: String, login: NatsLoginSettings) -> Broker {
    let settings = BrokerSettings {
        nats_url,
        stream_replicas: 1,
        nats_inbox_prefix: "_INBOX".to_owned(),
        secrets_key: None,
        login,
    };
    assert!(settings.problems().is_empty(), "{:?}", settings.problems());
    Broker::connect(&settings, "test").await.unwrap()
}

/// The broker lets this client in, and JetStream does what it asks for.
async fn lets_in(nats_url: String, login: NatsLoginSettings) {
    let broker = connect(nats_url, login).await;
    until("the connection", SOON, || async { if broker.is_connected() { Ok(()) } else { Err("not connected") } }).await;
    let stream = stream::Config { name: "PROBE".to_owned(), ..stream::Config::default() };
    broker.jetstream.get_or_create_stream(stream).await.unwrap();
}

#[tokio::test]
async fn a_user_and_password_in_the_url_let_a_service_in() {
    let nats = ProtectedNats::with_password().await;
    lets_in(nats.url("nats://kurir:p%40ss%2Fword@{}"), NatsLoginSettings::default()).await;
}

#[tokio::test]
async fn a_user_with_a_password_from_a_file_is_let_in() {
    let nats = ProtectedNats::with_password().await;
    fs::write(nats.folder.path().join("password"), "p@ss/word\n").unwrap();
    let user = NatsLoginSettings { nats_user: Some("kurir".to_owned()), ..NatsLoginSettings::default() };
    let login = NatsLoginSettings { nats_password_file: nats.file("password"), ..user.clone() };
    lets_in(nats.url("{}"), login).await;
    lets_in(nats.url("{}"), NatsLoginSettings { nats_password: Some("p@ss/word".into()), ..user }).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_right_one_works_beside_it() {
    let mut nats = ProtectedNats::with_password().await;
    let wrong = connect(nats.url("nats://kurir:wrong@{}"), NatsLoginSettings::default()).await;
    nats.nats.process().wait_for_line(|line| line.contains("authentication error"), SOON).await;
    lets_in(nats.url("nats://kurir:p%40ss%2Fword@{}"), NatsLoginSettings::default()).await;
    assert!(!wrong.is_connected());
}

#[tokio::test]
async fn a_token_in_the_url_lets_a_service_in() {
    let nats = ProtectedNats::start(TempDir::new().unwrap(), "authorization { token: \"t0ken\" }").await;
    lets_in(nats.url("nats://t0ken@{}"), NatsLoginSettings::default()).await;
}

#[tokio::test]
async fn of_several_servers_one_that_answers_is_enough() {
    let nats = ProtectedNats::with_password().await;
    // Port 1 is nobody's.
    lets_in(nats.url("nats://kurir:p%40ss%2Fword@127.0.0.1:1,{}"), NatsLoginSettings::default()).await;
}

#[tokio::test]
async fn an_nkey_lets_a_service_in() {
    let user = KeyPair::new_user();
    let configuration = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key());
    let nats = ProtectedNats::start(TempDir::new().unwrap(), &configuration).await;
    fs::write(nats.folder.path().join("seed"), format!("{}\n", user.seed().unwrap())).unwrap();
    let login = NatsLoginSettings { nats_nkey_file: nats.file("seed"), ..NatsLoginSettings::default() };
    lets_in(nats.url("{}"), login).await;
}

/// A JWT as NATS signs it: `nats` is its own part of the claims.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({
        "jti": "1", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test", "sub": subject.public_key(), "nats": nats,
    });
    let signed = format!("{}.{}", encode(json!({"typ": "JWT", "alg": "ed25519-nkey"})), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_credentials_file_lets_a_service_in() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    // JetStream refuses to start for operators without an account of the system's own.
    let system = KeyPair::new_account();
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let operator_jwt = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let account_jwt = jwt(&operator, &account, &json!({"type": "account", "version": 2, "limits": limits}));
    let system_jwt = jwt(&operator, &system, &json!({"type": "account", "version": 2}));
    let user_jwt = jwt(&account, &user, &json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}));
    let configuration = format!(
        "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {account_jwt}, {system}: {system_jwt} }}",
        account.public_key(),
        system = system.public_key(),
    );
    let nats = ProtectedNats::start(TempDir::new().unwrap(), &configuration).await;
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    fs::write(nats.folder.path().join("user.creds"), credentials).unwrap();
    let login = NatsLoginSettings { nats_creds_file: nats.file("user.creds"), ..NatsLoginSettings::default() };
    lets_in(nats.url("{}"), login).await;
}

/// `ca.pem`, and `server` and `client` (`.pem`, `.key`) that it signed, in a folder.
fn certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, TlsKeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let mut leaf = CertificateParams::new(Vec::<String>::new()).unwrap();
        leaf.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        let key = TlsKeyPair::generate().unwrap();
        fs::write(folder.join(format!("{name}.pem")), leaf.signed_by(&key, &ca).unwrap().pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn a_client_certificate_lets_a_service_in_and_its_absence_keeps_it_out() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let configuration = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let mut nats = ProtectedNats::start(folder, &configuration).await;
    let ca_alone = NatsLoginSettings { nats_ca_file: nats.file("ca.pem"), ..NatsLoginSettings::default() };
    let refused = connect(nats.url("tls://{}"), ca_alone.clone()).await;
    nats.nats.process().wait_for_line(|line| line.contains("TLS handshake error"), SOON).await;
    let login = NatsLoginSettings {
        nats_cert_file: nats.file("client.pem"),
        nats_key_file: nats.file("client.key"),
        ..ca_alone
    };
    lets_in(nats.url("tls://{}"), login).await;
    assert!(!refused.is_connected());
}
