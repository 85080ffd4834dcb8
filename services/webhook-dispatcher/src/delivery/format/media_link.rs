//! Links to media in an event's bytes. The event is not parsed: what else it holds stays as it is, byte for byte.

use crate::event::StoredEvent;
use bytes::Bytes;
use kurir_contract::{event::EventType, header};

/// The gateway writes a link so. In a person's text the quotes would be escaped.
const LINK: &[u8] = b"\"downloadUrl\":\"/media/";
/// Where in [`LINK`] the address of the API belongs.
const PATH: usize = LINK.len() - b"/media/".len();

/// The event's bytes, in which links to media begin with the address of the API, if that is known.
pub fn with_whole_links(event: &StoredEvent, public_url: Option<&str>) -> Bytes {
    let payload = &event.payload;
    let Some(public_url) = public_url.map(json_text).filter(|_| is_of_kurir(event)) else { return payload.clone() };
    let Some(first) = find_link(payload) else { return payload.clone() };
    let mut whole = Vec::with_capacity(payload.len() + public_url.len());
    let (mut rest, mut at) = (&payload[..], Some(first));
    while let Some(link) = at {
        let (before, after) = rest.split_at(link + PATH);
        whole.extend_from_slice(before);
        whole.extend_from_slice(public_url.as_bytes());
        (rest, at) = (after, find_link(after));
    }
    whole.extend_from_slice(rest);
    whole.into()
}

/// Whether Kurir itself wrote the event; what callers send is theirs.
fn is_of_kurir(event: &StoredEvent) -> bool {
    let is_made = event.headers.as_ref().is_some_and(|headers| headers.get(header::SYNTHETIC).is_some());
    !is_made && EventType::ALL.contains(&event.kind)
}

fn find_link(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, LINK)
}

/// The address as it stands within a JSON text, without a trailing slash.
fn json_text(url: &str) -> String {
    let text = serde_json::Value::from(url.trim_end_matches('/')).to_string();
    text.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderMap;

    fn event(kind: &str, payload: &str) -> StoredEvent {
        StoredEvent::new(format!("whatsapp.events.default.{kind}").into(), 1, None, payload.to_owned().into())
    }

    fn whole(event: &StoredEvent, public_url: Option<&str>) -> String {
        String::from_utf8(with_whole_links(event, public_url).to_vec()).expect("UTF-8")
    }

    #[test]
    fn only_links_are_changed_and_only_with_an_address() {
        let received =
            r#"{"data":{"content":{"downloadUrl":"/media/a.jpg","text":"\"downloadUrl\":\"/media/b"},"z":1.10}}"#;
        let event = event("message.received", received);
        assert_eq!(whole(&event, None), received);
        for address in ["https://kurir.example.org", "https://kurir.example.org/"] {
            let expected = received.replace(r#":"/media/a"#, r#":"https://kurir.example.org/media/a"#);
            assert_eq!(whole(&event, Some(address)), expected);
        }
        assert_eq!(whole(&event, Some("https://k.example/a\"b")).matches(r#"/a\"b/media/a.jpg"#).count(), 1);
    }

    #[test]
    fn every_link_of_an_event_is_whole() {
        let history =
            r#"{"messages":[{"downloadUrl":"/media/a"},{"downloadUrl":"/media/b"},{"downloadUrl":"https://x"}]}"#;
        let expected = history.replace("\"/media/", "\"http://k/media/");
        assert_eq!(whole(&event("history.sync", history), Some("http://k")), expected);
    }

    #[test]
    fn what_callers_send_is_not_touched() {
        let payload = r#"{"downloadUrl":"/media/a"}"#;
        assert_eq!(whole(&event("custom.event", payload), Some("http://k")), payload);
        let mut headers = HeaderMap::new();
        headers.insert(header::SYNTHETIC, "true");
        let made = StoredEvent { headers: Some(headers), ..event("message.received", payload) };
        assert_eq!(whole(&made, Some("http://k")), payload);
    }
}
