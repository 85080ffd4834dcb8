//! An HTTP client of the API: it sends the key, keeps a deadline, and reports errors with what to do.

use crate::settings::ApiSettings;
use anyhow::{Context as _, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, multipart::Form};
use serde_json::Value;
use std::time::Duration;

/// A send takes up to 110 s, a webhook test 25 s.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A file may be large, and its receiver reads all of it before it answers.
const FILE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A stream that lasts longer is opened again, without a gap.
const STREAM_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// Calls one API with one key.
pub struct ApiClient {
    client: Client,
    url: Url,
    api_key: String,
}

/// An answer of the API: a success or an error.
pub struct ApiReply {
    status: StatusCode,
    pub body: Value,
}

impl ApiReply {
    /// Whether the API did what was asked.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_success() && self.body["success"] == true
    }

    /// The API's own text about the result.
    #[must_use]
    pub fn message(&self) -> String {
        self.body["message"].as_str().map_or_else(|| format!("the API answered {}", self.status), str::to_owned)
    }
}

impl ApiClient {
    pub fn new(ApiSettings { url, api_key }: ApiSettings) -> anyhow::Result<Self> {
        // An error means that a provider is installed already, which is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(TIMEOUT).build().context("failed to make an HTTP client")?;
        Ok(Self { client, url, api_key })
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<ApiReply> {
        self.send(self.build_request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<ApiReply> {
        self.send(self.build_request(Method::POST, path).json(body)).await
    }

    pub async fn post_form(&self, path: &str, form: Form) -> anyhow::Result<ApiReply> {
        self.send(self.build_request(Method::POST, path).multipart(form)).await
    }

    /// Sends a file as the body, with a passphrase if it needs one.
    pub async fn post_file(&self, path: &str, file: Vec<u8>, passphrase: Option<&str>) -> anyhow::Result<ApiReply> {
        let request = self.build_request(Method::POST, path).timeout(FILE_TIMEOUT).body(file);
        let request = request.header("Content-Type", "application/octet-stream");
        self.send(passphrase.into_iter().fold(request, |request, one| request.header("X-Passphrase", one))).await
    }

    /// Receives a file that is sealed with the passphrase, or the API's refusal.
    pub async fn get_sealed(&self, path: &str, passphrase: &str) -> anyhow::Result<Result<Vec<u8>, ApiReply>> {
        let request = self.build_request(Method::GET, path).timeout(FILE_TIMEOUT).header("X-Passphrase", passphrase);
        let response =
            request.send().await.with_context(|| format!("failed to reach the API at {}; does it run?", self.url))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Ok(Err(ApiReply { status, body: response.json().await.unwrap_or_default() }));
        }
        Ok(Ok(response.bytes().await.context("the file did not arrive whole")?.to_vec()))
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<ApiReply> {
        self.send(self.build_request(Method::DELETE, path)).await
    }

    /// Opens a stream of events, which lasts until one side ends it; `last` is the id of the last event that was seen.
    pub async fn open_stream(&self, path: &str, last: Option<&str>) -> anyhow::Result<Response> {
        let request = self.build_request(Method::GET, path).timeout(STREAM_LASTS);
        let request = last.into_iter().fold(request, |request, last| request.header("Last-Event-ID", last));
        let response =
            request.send().await.with_context(|| format!("failed to reach the API at {}; does it run?", self.url))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let body: Value = response.json().await.unwrap_or_default();
            bail!("the API answered {status}: {}", body["message"].as_str().unwrap_or("no reason"));
        }
        Ok(response)
    }

    fn build_request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        self.client.request(method, url).header("X-API-Key", &self.api_key)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<ApiReply> {
        let response = request
            .send()
            .await
            .with_context(|| format!("failed to reach the API at {} (KURIR_URL, PORT); does it run?", self.url))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            bail!("the API at {} does not accept this key: API_KEY must be the same here and there", self.url);
        }
        let body =
            response.json().await.with_context(|| format!("{} is no API of Kurir (it answered {status})", self.url))?;
        Ok(ApiReply { status, body })
    }
}
