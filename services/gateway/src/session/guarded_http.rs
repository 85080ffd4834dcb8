//! The HTTP client that the library is given: it speaks to WhatsApp's hosts only.
//!
//! Every request of the library passes here, whether it is for a message's file, an upload, or a piece of the history.
//! The URL is checked before the request, the address at each connection. A redirect is not followed: it is an answer
//! that holds no file.

use super::whatsapp_hosts::WhatsappHosts;
use std::{
    io::{self, Read},
    time::{Duration, Instant},
};
use ureq::{
    Agent,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};
use wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};
use whatsapp_rust::{async_trait, http::UreqHttpClient};

/// An HTTP client that refuses every host that is not WhatsApp's.
#[derive(Clone)]
pub struct GuardedHttpClient {
    inner: UreqHttpClient,
    hosts: WhatsappHosts,
}

impl GuardedHttpClient {
    /// Makes the client; `config` has the bounds of its waits.
    #[must_use]
    pub fn new(config: Config, hosts: WhatsappHosts) -> Self {
        let resolver = GuardedResolver { inner: DefaultResolver::default(), hosts: hosts.clone() };
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        Self { inner: UreqHttpClient::with_agent(agent), hosts }
    }
}

#[async_trait]
impl HttpClient for GuardedHttpClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        self.hosts.check_url(&request.url)?;
        self.inner.execute(request).await
    }

    fn supports_streaming(&self) -> bool {
        self.inner.supports_streaming()
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        self.hosts.check_url(&request.url)?;
        let StreamingHttpResponse { status_code, body } = self.inner.execute_streaming(request)?;
        Ok(StreamingHttpResponse { status_code, body: Box::new(SteadyBody::new(body)) })
    }

    fn supports_upload_streaming(&self) -> bool {
        self.inner.supports_upload_streaming()
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        self.hosts.check_url(&request.url)?;
        self.inner.execute_upload(request, body, length)
    }
}

/// A body must bring [`LEAST`] bytes in each of these spans. The bound on silence alone lets a server hold a thread for an
/// hour with a byte now and then.
const SPAN: Duration = Duration::from_secs(30);
const LEAST: u64 = 10_000;

/// A body that ends with an error if it comes too slowly.
struct SteadyBody {
    inner: Box<dyn Read + Send>,
    since: Instant,
    bytes: u64,
}

impl SteadyBody {
    fn new(inner: Box<dyn Read + Send>) -> Self {
        Self { inner, since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes that have come now.
    fn check(&mut self, read: usize, now: Instant) -> io::Result<usize> {
        self.bytes += read as u64;
        if read > 0 && now.saturating_duration_since(self.since) >= SPAN {
            if self.bytes < LEAST {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server sends too slowly"));
            }
            (self.since, self.bytes) = (now, 0);
        }
        Ok(read)
    }
}

impl Read for SteadyBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.check(read, Instant::now())
    }
}

/// Leaves out the addresses that only this machine or its network can reach.
#[derive(Debug)]
struct GuardedResolver {
    inner: DefaultResolver,
    hosts: WhatsappHosts,
}

impl Resolver for GuardedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.inner.resolve(uri, config, timeout)?;
        // The operator chose their proxy; it may stand in their own network.
        if config.proxy().is_some_and(|proxy| proxy.uri() == uri) {
            return Ok(all);
        }
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let mut allowed = self.empty();
        let mut refused = None;
        for address in all.iter() {
            match self.hosts.check_address(authority, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(why))),
            _ => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_no_body() {
        let mut body = SteadyBody::new(Box::new(io::empty()));
        let begun = body.since;
        for seconds in 1..30 {
            assert!(body.check(1, begun + Duration::from_secs(seconds)).is_ok());
        }
        assert!(body.check(1, begun + SPAN).is_err());
        let mut body = SteadyBody::new(Box::new(io::empty()));
        for seconds in 1..300 {
            assert!(body.check(400, body.since.max(begun) + Duration::from_secs(seconds % 31)).is_ok(), "{seconds}");
        }
        assert!(body.check(0, body.since + SPAN).is_ok(), "the end is no slowness");
    }
}
