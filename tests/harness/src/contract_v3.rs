//! The runner of `tests/contract-v3/`: the requests and answers that users of WhatsApp API v3 rely on, as data.
//!
//! The folder's README explains the files. A test brings services into the state that a scenario needs, and then sends the
//! scenario's rows. The same rows run against the API alone and against all of Kurir.

use crate::{
    Receiver, binaries::repository, http, json_match::assert_json_matches, json_match::match_json, stack::SOON,
};
use reqwest::{
    Method, RequestBuilder, Response,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// Rows that are sent in order to services in one state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractScenario {
    pub scenario: String,
    pub given: ContractState,
    rows: Vec<ContractRow>,
}

/// The state that must hold before the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContractState {
    /// The session is connected, the receiver answers 200, and [`NUMBER_NOT_ON_WHATSAPP`] is not on WhatsApp.
    Connected,
    /// The session has a QR code and waits for a phone.
    Pairing,
    /// As `Connected`, without `WEBHOOK_URL`.
    WithoutWebhooks,
    /// As `Connected`; the receiver answers 500.
    FailingReceiver,
    /// As `Connected`; the receiver never answers.
    HangingReceiver,
    /// As `Connected`; WhatsApp refuses each message.
    RefusedByWhatsapp,
    /// As `Connected`; WhatsApp acknowledges no message.
    SilentWhatsapp,
    /// As `Connected`; NATS has stopped.
    BrokerAway,
}

/// A number that the services under test must not find on WhatsApp.
pub const NUMBER_NOT_ON_WHATSAPP: &str = "6289999999999";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ContractRow {
    request: String,
    #[serde(default)]
    key: KeyChoice,
    #[serde(default)]
    request_headers: BTreeMap<String, String>,
    body: Option<Value>,
    form: Option<BTreeMap<String, String>>,
    file: Option<FormFile>,
    status: u16,
    answer: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    delivered: Option<Value>,
}

/// Which API key a row sends, and where.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeyChoice {
    #[default]
    Right,
    Wrong,
    None,
    RightInQuery,
    WrongInQuery,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormFile {
    mimetype: String,
    size: usize,
}

/// The API that receives the rows.
pub struct ContractTarget<'a> {
    /// Such as `http://127.0.0.1:3000`.
    pub base_url: String,
    pub key: &'a str,
    /// The receiver of `WEBHOOK_URL`.
    pub receiver: &'a Receiver,
}

/// All scenarios of all files.
#[track_caller]
pub fn scenarios() -> Vec<ContractScenario> {
    let folder = repository().join("tests/contract-v3");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("failed to read {}: {error}", folder.display()));
    let mut scenarios = Vec::new();
    for file in files.flatten().map(|file| file.path()).filter(|file| file.extension().is_some_and(|end| end == "json"))
    {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let read: Vec<ContractScenario> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("failed to read {}: {error}", file.display()));
        scenarios.extend(read);
    }
    assert!(!scenarios.is_empty(), "{} has no scenario", folder.display());
    scenarios
}

/// The scenarios that need this state.
#[track_caller]
pub fn scenarios_given(state: ContractState) -> Vec<ContractScenario> {
    let scenarios: Vec<_> = scenarios().into_iter().filter(|scenario| scenario.given == state).collect();
    assert!(!scenarios.is_empty(), "no scenario needs {state:?}");
    scenarios
}

impl ContractScenario {
    /// Sends the rows in order.
    ///
    /// # Panics
    /// At the first answer that differs from its row.
    pub async fn run(&self, target: &ContractTarget<'_>) {
        for (number, row) in (1..).zip(&self.rows) {
            let name = format!("{:?}, row {number}: {}", self.scenario, row.request);
            let response = match row.build_request(target).send().await {
                Ok(response) => response,
                Err(error) => panic!("{name}: no answer: {error}"),
            };
            row.check_answer(response, &name).await;
            if let Some(event) = &row.delivered {
                let is_there = |body: &Value| match_json(event, body).is_ok();
                let what = format!("{name}: the delivery of {event}");
                target.receiver.wait_until(&what, SOON, |all| all.iter().any(|one| is_there(&one.json()))).await;
            }
        }
    }
}

impl ContractRow {
    #[track_caller]
    fn build_request(&self, target: &ContractTarget<'_>) -> RequestBuilder {
        let (method, path) = self.request.split_once(' ').unwrap_or_else(|| panic!("{:?} has no path", self.request));
        let method: Method = method.parse().unwrap_or_else(|_| panic!("{method:?} is no method"));
        let wrong = format!("not-{}", target.key);
        let (header, query) = match self.key {
            KeyChoice::Right => (Some(target.key), None),
            KeyChoice::Wrong => (Some(&*wrong), None),
            KeyChoice::None => (None, None),
            KeyChoice::RightInQuery => (None, Some(target.key)),
            KeyChoice::WrongInQuery => (None, Some(&*wrong)),
        };
        let query = query.map(|key| format!("?api_key={key}")).unwrap_or_default();
        let mut request = http::client().request(method, format!("{}{path}{query}", target.base_url));
        if let Some(key) = header {
            request = request.header("X-API-Key", key);
        }
        for (name, value) in &self.request_headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.json(&expand(body));
        }
        match &self.form {
            Some(fields) => request.multipart(self.build_form(fields)),
            None => request,
        }
    }

    fn build_form(&self, fields: &BTreeMap<String, String>) -> Form {
        let form = fields.iter().fold(Form::new(), |form, (name, value)| form.text(name.clone(), value.clone()));
        let Some(file) = &self.file else { return form };
        let part = Part::bytes(vec![7; file.size]).file_name("holiday.bin").mime_str(&file.mimetype);
        form.part("media", part.unwrap_or_else(|_| panic!("{:?} is no MIME type", file.mimetype)))
    }

    async fn check_answer(&self, response: Response, name: &str) {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_default();
        assert_eq!(status, self.status, "{name}: {text}");
        if let Some(answer) = &self.answer {
            let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{name}: the body is no JSON: {text}"));
            assert_json_matches(answer, &body, name);
        }
        for (header, expected) in &self.headers {
            let seen = headers.get(header).and_then(|value| value.to_str().ok());
            assert_eq!(seen, expected.as_deref(), "{name}: header {header}");
        }
    }
}

/// Replaces each `{"<repeat>": n, "value": v}`.
fn expand(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match (fields.get("<repeat>").and_then(Value::as_u64), fields.get("value")) {
            (Some(times), Some(Value::String(text))) => text.repeat(times as usize).into(),
            (Some(times), Some(item)) => vec![expand(item); times as usize].into(),
            _ => fields.iter().map(|(name, value)| (name.clone(), expand(value))).collect(),
        },
        Value::Array(items) => items.iter().map(expand).collect(),
        other => other.clone(),
    }
}
