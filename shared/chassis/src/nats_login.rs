//! How a service gets into a protected NATS: user and password, a token, an nkey, a credentials file, TLS.
//!
//! The client library ignores a login that stands in a URL, so this module takes it out of `NATS_URL` and hands it over as
//! an option. All mistakes are found before the first connection, and no message repeats a secret.

use crate::settings::SettingProblem;
use anyhow::Context as _;
use async_nats::{ConnectOptions, ServerAddr};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use url::Url;

/// What a service shows to NATS besides what stands in `NATS_URL`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NatsLoginSettings {
    /// User of NATS; needs a password. Instead of one in `NATS_URL`.
    #[arg(long, env = "NATS_USER")]
    pub nats_user: Option<String>,
    /// Password of `NATS_USER`.
    #[arg(long, env = "NATS_PASSWORD", hide_env_values = true)]
    pub nats_password: Option<Password>,
    /// File with the password of `NATS_USER`.
    #[arg(long, env = "NATS_PASSWORD_FILE")]
    pub nats_password_file: Option<PathBuf>,
    /// Credentials file (JWT and nkey seed) of the NATS user.
    #[arg(long, env = "NATS_CREDS_FILE")]
    pub nats_creds_file: Option<PathBuf>,
    /// File with the nkey seed of the NATS user.
    #[arg(long, env = "NATS_NKEY_FILE")]
    pub nats_nkey_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted for NATS instead of those of the machine; demands TLS.
    #[arg(long, env = "NATS_CA_FILE")]
    pub nats_ca_file: Option<PathBuf>,
    /// Client certificate (PEM) for NATS; needs `NATS_KEY_FILE`, demands TLS.
    #[arg(long, env = "NATS_CERT_FILE")]
    pub nats_cert_file: Option<PathBuf>,
    /// Private key (PEM) of the client certificate.
    #[arg(long, env = "NATS_KEY_FILE")]
    pub nats_key_file: Option<PathBuf>,
}

/// A password, which no log shows.
#[derive(Clone)]
pub struct Password(String);

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What NATS is shown in plain text. No `Debug`: it is a secret.
#[derive(Clone, PartialEq, Eq)]
enum PlainLogin {
    Password { user: String, password: String },
    Token(String),
}

impl NatsLoginSettings {
    /// The settings that cannot work together with this `NATS_URL`, each with its fix.
    #[must_use]
    pub fn problems(&self, nats_url: &str) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        let url_login = match read_servers(nats_url) {
            Ok((_, login)) => login,
            Err(fix) => {
                problems.push(SettingProblem::new("NATS_URL", fix));
                None
            }
        };
        let (password, creds, nkey) = (self.password_login(), &self.nats_creds_file, &self.nats_nkey_file);
        let logins = [url_login.is_some(), password != Ok(None), creds.is_some(), nkey.is_some()];
        if logins.into_iter().filter(|is_given| *is_given).count() > 1 {
            let fix = "use one login: in NATS_URL, or NATS_USER, or NATS_CREDS_FILE, or NATS_NKEY_FILE";
            problems.push(SettingProblem::new("NATS_URL", fix));
        }
        if let Err(fix) = password {
            problems.push(SettingProblem::new("NATS_USER", fix));
        }
        if self.nats_cert_file.is_some() != self.nats_key_file.is_some() {
            let fix = "NATS_CERT_FILE and NATS_KEY_FILE belong together: set both or neither";
            problems.push(SettingProblem::new("NATS_CERT_FILE", fix));
        }
        let mut check_file = |variable, path: &Option<PathBuf>, check: fn(&Path) -> Result<(), String>| {
            if let Some(Err(fix)) = path.as_deref().map(check) {
                problems.push(SettingProblem::new(variable, fix));
            }
        };
        check_file("NATS_CREDS_FILE", &self.nats_creds_file, check_credentials);
        check_file("NATS_NKEY_FILE", &self.nats_nkey_file, |path| read_nkey_seed(path).map(drop));
        check_file("NATS_CA_FILE", &self.nats_ca_file, check_certificates);
        check_file("NATS_CERT_FILE", &self.nats_cert_file, check_certificates);
        check_file("NATS_KEY_FILE", &self.nats_key_file, check_private_key);
        problems
    }

    /// Adds the login to the options of a connection, and returns the servers without it.
    ///
    /// # Errors
    /// If one of [`NatsLoginSettings::problems`] is there.
    pub(crate) async fn apply(
        &self,
        mut options: ConnectOptions,
        nats_url: &str,
    ) -> anyhow::Result<(ConnectOptions, Vec<ServerAddr>)> {
        let (servers, login) = read_servers(nats_url).map_err(anyhow::Error::msg)?;
        match login.or(self.password_login().map_err(anyhow::Error::msg)?) {
            Some(PlainLogin::Password { user, password }) => options = options.user_and_password(user, password),
            Some(PlainLogin::Token(token)) => options = options.token(token),
            None => {}
        }
        if let Some(path) = &self.nats_nkey_file {
            options = options.nkey(read_nkey_seed(path).map_err(anyhow::Error::msg)?);
        }
        if let Some(path) = &self.nats_creds_file {
            options = options.credentials_file(path).await.context("failed to read NATS_CREDS_FILE")?;
        }
        if let Some(path) = &self.nats_ca_file {
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        if let (Some(certificate), Some(key)) = (&self.nats_cert_file, &self.nats_key_file) {
            options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
        }
        Ok((options, servers))
    }

    /// The login by `NATS_USER`, if it is set. A password alone is none: `make up` keeps one in `.env`.
    fn password_login(&self) -> Result<Option<PlainLogin>, String> {
        let Some(user) = self.nats_user.clone().filter(|user| !user.is_empty()) else { return Ok(None) };
        let password = match (&self.nats_password, &self.nats_password_file) {
            (Some(Password(password)), None) => password.clone(),
            (None, Some(path)) => {
                fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?.trim_end().to_owned()
            }
            _ => return Err("set its password too, as NATS_PASSWORD or NATS_PASSWORD_FILE".to_owned()),
        };
        Ok(Some(PlainLogin::Password { user, password }))
    }
}

/// The addresses in `NATS_URL` (one, or several with commas between) without their login, and the login.
fn read_servers(nats_url: &str) -> Result<(Vec<ServerAddr>, Option<PlainLogin>), String> {
    let mut servers = Vec::new();
    let mut logins = Vec::new();
    for address in nats_url.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let (server, login) = read_server(address)?;
        servers.push(server);
        logins.extend(login);
    }
    logins.dedup();
    match logins.len() {
        _ if servers.is_empty() => Err("it names no server: use nats://host:4222".to_owned()),
        0 | 1 => Ok((servers, logins.pop())),
        _ => Err("its servers have different logins: give all of them the same one, or one of them alone".to_owned()),
    }
}

fn read_server(address: &str) -> Result<(ServerAddr, Option<PlainLogin>), String> {
    // Never the address itself: a password may stand in it.
    const FIX: &str = "it must be nats://[user:password@]host[:port] or tls://…, several with commas between; in a user, \
                       password or token, write the characters / ? # @ : , as percent signs and hex digits (@ is %40)";
    let address = if address.contains("://") { address.to_owned() } else { format!("nats://{address}") };
    let mut url = Url::parse(&address).map_err(|_| FIX)?;
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(String::from);
    let user = decode(url.username()).map_err(|_| FIX)?;
    let login = match url.password() {
        Some(password) => Some(PlainLogin::Password { user, password: decode(password).map_err(|_| FIX)? }),
        None if user.is_empty() => None,
        None => Some(PlainLogin::Token(user)),
    };
    let is_plain = matches!(url.scheme(), "nats" | "tls")
        && url.has_host()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain || url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(FIX.to_owned());
    }
    let server = ServerAddr::from_url(url).map_err(|_| FIX)?;
    Ok((server, login))
}

fn check_credentials(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?;
    let has_both = text.contains("BEGIN NATS USER JWT") && text.contains("BEGIN USER NKEY SEED");
    has_both.then_some(()).ok_or_else(|| format!("{} is no credentials file of NATS", path.display()))
}

/// The seed of a user: `SU` and 56 characters of base32.
fn read_nkey_seed(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?;
    let seed = text.trim();
    let is_seed = seed.len() == 58
        && seed.starts_with("SU")
        && seed.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b));
    is_seed.then(|| seed.to_owned()).ok_or_else(|| format!("{} holds no nkey seed of a user (SU…)", path.display()))
}

fn check_certificates(path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err(format!("{} holds no certificate in PEM", path.display())),
    }
}

fn check_private_key(path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    PrivateKeyDer::from_pem_slice(&pem).map(drop).map_err(|_| format!("{} holds no private key in PEM", path.display()))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user with a password, or a token without one.
    type Login = (String, Option<String>);

    /// The addresses and the login of `nats_url`.
    fn parts(nats_url: &str) -> Result<(Vec<String>, Option<Login>), String> {
        read_servers(nats_url).map(|(servers, login)| {
            let login = login.map(|login| match login {
                PlainLogin::Password { user, password } => (user, Some(password)),
                PlainLogin::Token(token) => (token, None),
            });
            (servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect(), login)
        })
    }

    #[test]
    fn a_login_is_taken_out_of_the_url() {
        let login = |user: &str, password: Option<&str>| Some((user.to_owned(), password.map(str::to_owned)));
        let table: [(&str, &[&str], _); 7] = [
            ("nats://n:4000", &["n:4000"], None),
            ("n", &["n:4222"], None),
            ("nats://me:pass@n", &["n:4222"], login("me", Some("pass"))),
            ("nats://me:p%40ss%2Fword@n", &["n:4222"], login("me", Some("p@ss/word"))),
            ("tls://t0ken@[::1]:1", &["::1:1"], login("t0ken", None)),
            ("nats://me:p@a, nats://me:p@b:2", &["a:4222", "b:2"], login("me", Some("p"))),
            ("nats://me:p@a,b", &["a:4222", "b:4222"], login("me", Some("p"))),
        ];
        for (url, servers, login) in table {
            let (found, found_login) = parts(url).expect("a good URL");
            assert_eq!((found, found_login), (servers.iter().map(|s| (*s).to_owned()).collect(), login), "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_its_secret() {
        for url in [
            "",
            " , ",
            "http://me:s3cret@n",
            "nats://me:s3cret@n/x",
            "nats://me:s3cret@n:99999",
            "nats://a:s3cret@n,nats://b:s3cret@n",
        ] {
            let fix = parts(url).expect_err(url);
            assert!(!fix.contains("s3cret"), "{url}: {fix}");
        }
    }

    #[test]
    fn settings_that_exclude_each_other_are_refused() {
        let variables = |settings: &NatsLoginSettings, url: &str| {
            settings.problems(url).iter().map(|problem| problem.variable).collect::<Vec<_>>()
        };
        let none = NatsLoginSettings::default();
        assert!(variables(&none, "nats://me:p@n").is_empty());
        let absent = || Some(PathBuf::from("/absent"));
        let key = NatsLoginSettings { nats_nkey_file: absent(), ..none.clone() };
        assert_eq!(variables(&key, "n"), ["NATS_NKEY_FILE"]);
        assert_eq!(variables(&key, "nats://token@n"), ["NATS_URL", "NATS_NKEY_FILE"]);
        let half = NatsLoginSettings { nats_cert_file: absent(), ..none };
        assert_eq!(variables(&half, "n"), ["NATS_CERT_FILE", "NATS_CERT_FILE"]);
    }
}
