//! The HTTP client that the library is given: it speaks to WhatsApp's hosts only.
//!
//! Every request of the library passes here, whether it is for a message's file, an upload, or a piece of the history.
//! The URL is checked before the request, the address at each connection. A redirect is not followed: it is an answer
//! that holds no file.

use super::whatsapp_hosts::WhatsappHosts;
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
        self.inner.execute_streaming(request)
    }

    fn supports_upload_streaming(&self) -> bool {
        self.inner.supports_upload_streaming()
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        self.hosts.check_url(&request.url)?;
        self.inner.execute_upload(request, body, length)
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
