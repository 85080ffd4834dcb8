//! Calls to the API: the key in its header, a deadline, and an error that says what to do.

use crate::settings::Settings;
use anyhow::{Context as _, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;
use std::time::Duration;

/// A send takes up to 110 s, a webhook test 25 s.
const TIMEOUT: Duration = Duration::from_secs(120);

pub struct Api {
    client: Client,
    url: Url,
    api_key: String,
}

/// What the API said, for good or bad.
pub struct Reply {
    status: StatusCode,
    pub body: Value,
}

impl Reply {
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_success() && self.body["success"] == true
    }

    /// The API's own words.
    #[must_use]
    pub fn message(&self) -> String {
        self.body["message"].as_str().map_or_else(|| format!("the API answered {}", self.status), str::to_owned)
    }
}

impl Api {
    pub fn new(Settings { url, api_key }: Settings) -> anyhow::Result<Self> {
        // Refused only if it is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(TIMEOUT).build().context("failed to make an HTTP client")?;
        Ok(Self { client, url, api_key })
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.call(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        self.client.request(method, url).header("X-API-Key", &self.api_key)
    }

    async fn call(&self, request: RequestBuilder) -> anyhow::Result<Reply> {
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
        Ok(Reply { status, body })
    }
}
