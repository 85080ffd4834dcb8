//! The settings of the endpoint `default` beside its URL. The API and the webhook-dispatcher read the same ones: what is set
//! here cannot be changed through the API.

use crate::settings::SettingProblem;
use kurir_contract::endpoint::{EndpointSettings, input::parse_settings};
use serde_json::{Map, Value};

/// How the endpoint `default` receives events, as far as the environment says so.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebhookSettings {
    /// Retries of `WEBHOOK_URL`: `default` (2, 4 and 8 s), `patient`, `none`, or seconds as `10,60,600`.
    #[arg(long, env = "WEBHOOK_RETRY")]
    pub webhook_retry: Option<String>,
    /// The order of events at `WEBHOOK_URL`: `none`, or `chat` for the events of each chat in order.
    #[arg(long, env = "WEBHOOK_ORDERING")]
    pub webhook_ordering: Option<String>,
    /// The most requests per second to `WEBHOOK_URL`, of all dispatchers together; unset: no limit.
    #[arg(long, env = "WEBHOOK_RATE_LIMIT")]
    pub webhook_rate_limit: Option<String>,
    /// Headers of each request to `WEBHOOK_URL`: `Name: value`, several with `;` between, or a JSON object.
    #[arg(long, env = "WEBHOOK_HEADERS", hide_env_values = true)]
    pub webhook_headers: Option<String>,
    /// The types of events that `WEBHOOK_URL` receives, as `message.received,message.*`; unset: all.
    #[arg(long, env = "WEBHOOK_EVENTS")]
    pub webhook_events: Option<String>,
    /// The format of the bodies at `WEBHOOK_URL`: kurir, cloudevents, waha or evolution.
    #[arg(long, env = "WEBHOOK_FORMAT")]
    pub webhook_format: Option<String>,
}

impl WebhookSettings {
    /// The settings of the endpoint `default`: `stored` is what the API changed, none if it changed nothing; what the
    /// environment sets replaces it.
    ///
    /// # Errors
    /// All settings that cannot work.
    pub fn apply(
        &self,
        url: String,
        stored: Option<&EndpointSettings>,
    ) -> Result<EndpointSettings, Vec<SettingProblem>> {
        let before = match stored {
            Some(stored) => EndpointSettings { url, ..stored.clone() },
            None => EndpointSettings::contract_default(url),
        };
        parse_settings(&Value::Object(self.fields()), Some(&before)).map_err(|problems| {
            let variable = |field: &str| {
                let known = self.variables().into_iter().find(|(_, name, _)| *name == field);
                known.map_or("WEBHOOK_URL", |(variable, ..)| variable)
            };
            problems.iter().map(|problem| SettingProblem::new(variable(&problem.field), &problem.message)).collect()
        })
    }

    /// The settings that cannot work, each with its fix.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingProblem> {
        self.apply("http://localhost/".to_owned(), None).err().unwrap_or_default()
    }

    /// The variable that fixes a field of the endpoint `default`; none if the API may change the field.
    #[must_use]
    pub fn fixed_by(&self, field: &str) -> Option<&'static str> {
        match field {
            "url" => Some("WEBHOOK_URL"),
            "secret" => Some("WEBHOOK_SECRET"),
            "timeoutSeconds" => Some("WEBHOOK_TIMEOUT"),
            "concurrency" => Some("WEBHOOK_CONCURRENCY"),
            _ => self
                .variables()
                .into_iter()
                .find(|(_, name, value)| *name == field && is_set(value))
                .map(|(variable, ..)| variable),
        }
    }

    /// What is set, as the body of a change through the API would have it.
    fn fields(&self) -> Map<String, Value> {
        self.variables()
            .into_iter()
            .filter_map(|(_, field, value)| {
                let value = value.filter(|value| !value.trim().is_empty())?.trim();
                let read = match field {
                    "retry" => read_retry(value),
                    "rateLimitPerSecond" => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
                    "headers" => read_headers(value),
                    "events" => read_list(value),
                    _ => value.to_ascii_lowercase().into(),
                };
                Some((field.to_owned(), read))
            })
            .collect()
    }

    /// Each variable, the field that it sets, and its value.
    fn variables(&self) -> [(&'static str, &'static str, Option<&str>); 6] {
        [
            ("WEBHOOK_RETRY", "retry", self.webhook_retry.as_deref()),
            ("WEBHOOK_ORDERING", "ordering", self.webhook_ordering.as_deref()),
            ("WEBHOOK_RATE_LIMIT", "rateLimitPerSecond", self.webhook_rate_limit.as_deref()),
            ("WEBHOOK_HEADERS", "headers", self.webhook_headers.as_deref()),
            ("WEBHOOK_EVENTS", "events", self.webhook_events.as_deref()),
            ("WEBHOOK_FORMAT", "format", self.webhook_format.as_deref()),
        ]
    }
}

fn is_set(value: &Option<&str>) -> bool {
    value.is_some_and(|value| !value.trim().is_empty())
}

fn read_list(value: &str) -> Value {
    if value.starts_with('[') {
        return serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Value::from).collect::<Vec<_>>().into()
}

fn read_retry(value: &str) -> Value {
    match value.to_ascii_lowercase().as_str() {
        name @ ("default" | "patient") => name.into(),
        "none" => Value::Array(Vec::new()),
        delays if delays.starts_with('[') => serde_json::from_str(delays).unwrap_or_else(|_| value.into()),
        delays => {
            let seconds = |delay: &str| delay.trim().parse::<u64>().map(Value::from);
            delays.split(',').map(seconds).collect::<Result<Vec<_>, _>>().map_or_else(|_| value.into(), Value::Array)
        }
    }
}

fn read_headers(value: &str) -> Value {
    if value.starts_with('{') {
        return serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    let pairs = value.split([';', '\n']).map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once(':')?;
        Some((name.trim().to_owned(), Value::from(value.trim())))
    };
    // A pair without a colon is no object: the error says what would be right.
    pairs.map(pair).collect::<Option<Map<_, _>>>().map_or_else(|| value.into(), Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::endpoint::{EventOrdering, PayloadFormat, RetrySchedule};

    const URL: &str = "http://localhost:5678/webhook";

    fn settings(set: impl FnOnce(&mut WebhookSettings)) -> WebhookSettings {
        let mut settings = WebhookSettings::default();
        set(&mut settings);
        settings
    }

    #[test]
    fn without_settings_it_is_the_contracts_endpoint() {
        let unset = WebhookSettings::default();
        let empty = settings(|settings| settings.webhook_events = Some(" ".to_owned()));
        for settings in [unset, empty] {
            let made = settings.apply(URL.to_owned(), None).expect("settings");
            assert_eq!(made, EndpointSettings::contract_default(URL.to_owned()));
            assert_eq!((made.retry, made.timeout_seconds, made.base64), (RetrySchedule::Default, 10, true));
        }
    }

    #[test]
    fn each_setting_sets_its_field_and_fixes_it() {
        let settings = WebhookSettings {
            webhook_retry: Some("10, 60,600".to_owned()),
            webhook_ordering: Some("chat".to_owned()),
            webhook_rate_limit: Some("2.5".to_owned()),
            webhook_headers: Some("Authorization: Bearer a:b; X-Tenant: blue".to_owned()),
            webhook_events: Some("message.received, connection.*".to_owned()),
            webhook_format: Some("WAHA".to_owned()),
        };
        let stored = EndpointSettings { description: "mine".to_owned(), ..EndpointSettings::new(String::new()) };
        let made = settings.apply(URL.to_owned(), Some(&stored)).expect("settings");
        assert_eq!(made.retry, RetrySchedule::Own(vec![10, 60, 600]));
        assert_eq!((made.ordering, made.format), (EventOrdering::Chat, PayloadFormat::Waha));
        assert_eq!(made.rate_limit_per_second, Some(2.5));
        assert_eq!(made.headers["authorization"], "Bearer a:b");
        assert_eq!(made.headers["x-tenant"], "blue");
        assert_eq!(made.events.len(), 2);
        assert_eq!((made.description.as_str(), made.url.as_str()), ("mine", URL));
        for field in ["url", "secret", "retry", "ordering", "rateLimitPerSecond", "headers", "events", "format"] {
            assert!(settings.fixed_by(field).is_some(), "{field}");
        }
        assert_eq!((settings.fixed_by("description"), WebhookSettings::default().fixed_by("retry")), (None, None));
    }

    #[test]
    fn retries_are_a_name_or_seconds() {
        for (text, expected) in [
            ("default", Some(RetrySchedule::Default)),
            ("Patient", Some(RetrySchedule::Patient)),
            ("none", Some(RetrySchedule::Own(vec![]))),
            ("[1, 2]", Some(RetrySchedule::Own(vec![1, 2]))),
            ("5", Some(RetrySchedule::Own(vec![5]))),
            ("soon", None),
            ("1,x", None),
            ("-1", None),
        ] {
            let made = settings(|settings| settings.webhook_retry = Some(text.to_owned())).apply(URL.to_owned(), None);
            assert_eq!(made.ok().map(|made| made.retry), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_its_variable() {
        let settings = WebhookSettings {
            webhook_retry: Some("never".to_owned()),
            webhook_ordering: Some("all".to_owned()),
            webhook_rate_limit: Some("fast".to_owned()),
            webhook_headers: Some("X-Tenant".to_owned()),
            webhook_events: Some("no type!".to_owned()),
            webhook_format: Some("xml".to_owned()),
        };
        let variables: Vec<_> = settings.problems().into_iter().map(|problem| problem.variable).collect();
        let mut expected: Vec<_> = settings.variables().iter().map(|(variable, ..)| *variable).collect();
        expected.sort_unstable();
        let mut told = variables.clone();
        told.sort_unstable();
        assert_eq!(told, expected, "{variables:?}");
    }
}
