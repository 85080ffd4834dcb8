//! What comes from outside as a subject, an address, a URL, an endpoint or a command, on the kept corpus and mutations of it.

use crate::{
    address::ChatJid,
    address_guard::NetworkList,
    chat::ChatToken,
    command::{AnswerCommand, Command, CommandError, CommandSpec, answer_command},
    endpoint::{EventPattern, input::parse_settings, mask_password},
    proxy_url::ProxyUrl,
    recipient::read_recipient,
    subject,
};
use serde_json::Value;
use std::str::FromStr as _;

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

#[test]
fn fuzz_subjects() {
    kurir_fuzz::run("subjects", |input| {
        let given = text(input);
        if let Some((session, event)) = subject::parse_event(&given) {
            assert_eq!(subject::event(&session, &event), given);
        }
        if let Some(retry) = subject::parse_retry(&given) {
            let tokens: Vec<_> = given.split('.').collect();
            assert_eq!([retry.state, retry.chat, retry.run], [tokens[2], tokens[4], tokens[5]]);
        }
        let _ = subject::endpoint_of_retry(&given);
        let _ = subject::parse_command(&given);
        let _ = subject::parse_webhook_command(&given);
        let (filter, name) = given.split_once(' ').unwrap_or((&given, ""));
        if subject::filter_matches(filter, name) && !filter.contains(['*', '>']) {
            assert_eq!(filter, name);
        }
        if let Ok(pattern) = EventPattern::from_str(&given) {
            assert_eq!(EventPattern::from_str(&pattern.to_string()).as_ref(), Ok(&pattern));
        }
    });
}

#[test]
fn fuzz_addresses() {
    kurir_fuzz::run("addresses", |input| {
        let given = text(input);
        for jid in [read_recipient(&given).ok(), ChatJid::from_str(&given).ok()].into_iter().flatten() {
            assert_eq!(read_recipient(&jid.to_string()).as_ref(), Ok(&jid), "{given}");
        }
    });
}

#[test]
fn fuzz_urls() {
    kurir_fuzz::run("urls", |input| {
        let given = text(input);
        if let Ok(proxy) = given.parse::<ProxyUrl>() {
            assert_eq!(proxy.reveal().parse::<ProxyUrl>().map(|again| again == proxy), Ok(true));
            let shown = url::Url::parse(&proxy.to_string()).expect("a masked URL is a URL");
            let mask = |password: &str| password.contains("%E2%80%A2") || password.is_empty();
            assert!(shown.password().is_none_or(mask), "{proxy}");
            assert_eq!(format!("{proxy:?}"), format!("{:?}", proxy.to_string()));
        }
        let _ = mask_password(&given);
        if let Ok(networks) = NetworkList::parse(&given) {
            let _ = format!("{networks:?}");
        }
    });
}

#[test]
fn fuzz_endpoints() {
    kurir_fuzz::run("endpoints", |input| {
        let Ok(body) = serde_json::from_slice::<Value>(input) else { return };
        match parse_settings(&body, None) {
            Ok(settings) => {
                let stored = serde_json::to_vec(&settings).expect("JSON");
                assert_eq!(
                    serde_json::from_slice::<crate::endpoint::EndpointSettings>(&stored).expect("settings"),
                    settings
                );
            }
            Err(problems) => assert!(!problems.is_empty(), "refused without a reason"),
        }
    });
}

/// Takes every request and writes it again.
struct Writer;

impl<C: CommandSpec> AnswerCommand<C> for Writer {
    async fn answer(&self, request: C::Request) -> Result<C::Answer, CommandError> {
        let written = serde_json::to_vec(&request).expect("JSON");
        serde_json::from_slice::<C::Request>(&written).expect("what was written can be read");
        Err(CommandError::invalid("only looked at"))
    }
}

#[test]
fn fuzz_commands() {
    kurir_fuzz::run("commands", |input| {
        for command in Command::ALL {
            // Nothing waits in here.
            let answering = std::pin::pin!(answer_command(&Writer, *command, input));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(answering.poll(&mut context).is_ready(), "{command}");
        }
    });
}

#[test]
fn fuzz_chats() {
    kurir_fuzz::run("events", |input| {
        let session = "sales".parse().expect("a session");
        // No chat of one session is a chat of another one.
        let other = "support".parse().expect("a session");
        assert_ne!(ChatToken::from_event(&session, input), ChatToken::from_event(&other, input));
    });
}
