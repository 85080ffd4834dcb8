//! A file that is fetched from a URL that a caller names: never whole in memory, and only from where endpoints may point, too.
//!
//! A caller's URL is hostile: it may lead into the operator's own network. Each name is resolved once, each of its addresses
//! is judged, and the connection goes to these addresses and no other; redirects are followed by hand, each judged again.

use crate::{error_code::ErrorCode, response::ApiError};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use kurir_contract::address_guard::{NetworkList, forbidden_kind};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::lookup_host, time::timeout};
use url::{Host, Url};

/// The setting that opens private networks.
pub const ALLOWED_NETWORKS: &str = "MEDIA_ALLOWED_NETWORKS";
/// A file behind more redirects is behind a loop.
const MOST_REDIRECTS: usize = 3;
const LONGEST_URL: usize = 2_048;
/// To resolve, to connect, and until the head of the answer is there.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// A file that has begun to arrive.
pub struct RemoteFile {
    response: Response,
    /// What the server says its type is; none for the types that servers say by default.
    pub mimetype: Option<String>,
    /// The value of `Content-Disposition`.
    pub disposition: Option<Vec<u8>>,
    /// The last part of the URL's path; none if it is empty.
    pub path_name: Option<String>,
    /// Bytes, if the server says it.
    pub length: Option<u64>,
}

impl RemoteFile {
    /// Asks for the file.
    ///
    /// # Errors
    /// If the URL is none, leads where it must not, or does not answer with a file.
    pub async fn open(url: &str, allowed: &NetworkList) -> Result<Self, ApiError> {
        let mut url = read_url(url)?;
        for _ in 0..=MOST_REDIRECTS {
            let asked = timeout(ANSWERS_WITHIN, ask(&url, allowed));
            let response = asked.await.map_err(|_| unreachable(&url, "it did not answer within 20 s"))??;
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
                let target = target.and_then(|target| url.join(target).ok());
                url = read_url(target.ok_or_else(|| unreachable(&url, "it redirects to nowhere"))?.as_str())?;
                continue;
            }
            if !status.is_success() {
                return Err(unreachable(&url, &format!("it answered {}", status.as_u16())));
            }
            return Ok(Self::new(&url, response));
        }
        Err(unreachable(&url, "it redirects more than 3 times"))
    }

    fn new(url: &Url, response: Response) -> Self {
        let header = |name| response.headers().get(name);
        let mimetype = header(CONTENT_TYPE).and_then(|given| given.to_str().ok()).map(str::trim);
        let says_nothing = |given: &&str| !matches!(*given, "" | "application/octet-stream" | "binary/octet-stream");
        let mimetype = mimetype.filter(says_nothing).map(str::to_owned);
        let disposition = header(CONTENT_DISPOSITION).map(|value| value.as_bytes().to_vec());
        let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let path_name = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
        let path_name = Some(path_name).filter(|name| !name.is_empty() && !name.contains(char::is_control));
        let length = response.content_length();
        Self { response, mimetype, disposition, path_name, length }
    }

    /// From where it comes, after all redirects.
    pub fn url(&self) -> &Url {
        self.response.url()
    }

    /// The file's bytes.
    pub fn into_chunks(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        let url = self.response.url().clone();
        self.response.bytes_stream().map(move |chunk| {
            chunk.map_err(|_| unreachable(&url, "the connection ended before the whole file arrived"))
        })
    }
}

fn read_url(text: &str) -> Result<Url, ApiError> {
    let invalid = |text: &str| ApiError::new(ErrorCode::InvalidFile, format!("url {text}"));
    let text = text.trim();
    if text.len() > LONGEST_URL {
        return Err(invalid("has more than 2048 characters"));
    }
    let url = Url::parse(text).map_err(|_| invalid("is no URL: write a whole one, as https://example.org/a.pdf"))?;
    match url.scheme() {
        "http" | "https" if url.host().is_some() => Ok(url),
        _ => Err(invalid("must begin with http:// or https://")),
    }
}

/// One request, to addresses that were judged.
async fn ask(url: &Url, allowed: &NetworkList) -> Result<Response, ApiError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let failed = |why: &str| unreachable(url, why);
    let mut client =
        Client::builder().no_proxy().redirect(Policy::none()).user_agent(concat!("Kurir/", env!("CARGO_PKG_VERSION")));
    match url.host().ok_or_else(|| failed("it names no host"))? {
        Host::Ipv4(ip) => judge(url, IpAddr::V4(ip), allowed)?,
        Host::Ipv6(ip) => judge(url, IpAddr::V6(ip), allowed)?,
        Host::Domain(name) => {
            let found = lookup_host((name, port)).await.map_err(|_| failed("its name does not resolve"))?;
            let found: Vec<SocketAddr> = found.collect();
            for address in &found {
                judge(url, address.ip(), allowed)?;
            }
            if found.is_empty() {
                return Err(failed("its name has no address"));
            }
            client = client.resolve_to_addrs(name, &found);
        }
    }
    let client = client.build().map_err(|error| {
        tracing::error!("failed to make an HTTP client: {error}");
        ApiError::internal()
    })?;
    client.get(url.clone()).send().await.map_err(|error| {
        let why = if error.is_connect() { "nobody could be reached there" } else { "it did not answer as HTTP" };
        failed(why)
    })
}

fn judge(url: &Url, ip: IpAddr, allowed: &NetworkList) -> Result<(), ApiError> {
    let Some(kind) = forbidden_kind(ip, allowed) else { return Ok(()) };
    let host = url.host_str().unwrap_or_default();
    let text = format!(
        "url leads to {host}, {kind}, from where no file is fetched: the operator can open it with {ALLOWED_NETWORKS}"
    );
    Err(ApiError::new(ErrorCode::InvalidFile, text))
}

/// Without the path, which may hold a key.
fn unreachable(url: &Url, why: &str) -> ApiError {
    let text = format!("The file cannot be fetched from {}: {why}", url.host_str().unwrap_or_default());
    ApiError::new(ErrorCode::FileUnreachable, text)
}
