//! The elements that a request may hold, by its namespace. Promises that an element which nothing here reads is found, so
//! that the request is refused with 501 instead of being answered as if the element were not there.

use wacore_binary::NodeRef;

/// Namespace, kind, and the paths of its elements. `/**` at the end: anything below is read or means nothing.
const REQUESTS: &[(&str, &str, &[&str])] = &[
    ("w:p", "get", &["ping"]),
    ("urn:xmpp:ping", "get", &["ping"]),
    ("passive", "set", &["active", "passive"]),
    (
        "encrypt",
        "set",
        &[
            "registration",
            "type",
            "identity",
            "list",
            "list/key",
            "list/key/id",
            "list/key/value",
            "skey",
            "skey/id",
            "skey/value",
            "skey/signature",
            "rotate",
            "rotate/skey",
            "rotate/skey/id",
            "rotate/skey/value",
            "rotate/skey/signature",
        ],
    ),
    ("encrypt", "get", &["digest", "count", "key", "key/user"]),
    (
        "usync",
        "get",
        &[
            "usync",
            "usync/query",
            "usync/query/contact",
            "usync/query/devices",
            "usync/query/lid",
            "usync/query/status",
            "usync/query/picture",
            "usync/query/business/**",
            "usync/query/disappearing_mode",
            "usync/query/username",
            "usync/query/text_status",
            "usync/query/sidelist",
            "usync/query/bot/**",
            "usync/list",
            "usync/list/user/**",
            "usync/side_list",
        ],
    ),
    ("w", "get", &["props"]),
    ("abt", "get", &["props"]),
    ("blocklist", "get", &[]),
    ("blocklist", "set", &["item"]),
    ("privacy", "get", &["privacy", "privacy/list"]),
    ("privacy", "set", &["privacy", "privacy/category", "privacy/category/user", "tokens", "tokens/token"]),
    ("w:sync:app:state", "set", &["sync", "sync/collection", "sync/collection/patch"]),
    ("w:m", "set", &["media_conn"]),
    ("w:m", "get", &["media_conn"]),
    ("md", "set", &["remove-companion-device"]),
    ("disappearing_mode", "get", &["disappearing_mode"]),
    ("disappearing_mode", "set", &["disappearing_mode"]),
    ("status", "get", &["privacy"]),
    ("status", "set", &["status"]),
    ("w:profile:picture", "get", &["picture", "picture/tctoken"]),
    ("w:profile:picture", "set", &["picture"]),
    ("urn:xmpp:whatsapp:dirty", "set", &["clean"]),
    ("urn:xmpp:whatsapp:push", "get", &["config", "settings"]),
    ("urn:xmpp:whatsapp:push", "set", &["config/**"]),
    ("w:stats", "set", &["add"]),
    ("tos", "get", &["request", "request/notice", "get_notice", "get_notice/**"]),
    ("tos", "set", &["notice", "trackable"]),
    ("w:biz", "get", &["business_profile", "business_profile/profile"]),
    ("bot", "get", &["bot"]),
    ("newsletter", "get", &["messages", "message_updates"]),
    ("newsletter", "set", &["live_updates"]),
    ("w:mex", "get", &["query"]),
];

/// The first element that no request of this namespace has, as a path. Namespaces that are not in the table check their
/// elements themselves.
pub(super) fn unknown_part(namespace: &str, kind: &str, iq: &NodeRef<'_>) -> Option<String> {
    if namespace == "w:g2" {
        return None;
    }
    let known = REQUESTS.iter().find(|(name, for_kind, _)| *name == namespace && *for_kind == kind);
    let Some((_, _, paths)) = known else { return Some(format!("{namespace} {kind}")) };
    unknown_below(iq, "", paths)
}

fn unknown_below(node: &NodeRef<'_>, path: &str, known: &[&str]) -> Option<String> {
    node.children().unwrap_or_default().iter().find_map(|child| {
        let own = if path.is_empty() { child.tag.to_string() } else { format!("{path}/{}", child.tag) };
        if known.iter().any(|path| path.strip_suffix("/**") == Some(own.as_str())) {
            return None;
        }
        if known.contains(&own.as_str()) { unknown_below(child, &own, known) } else { Some(own) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    #[test]
    fn an_element_that_nothing_reads_is_found_at_any_depth() {
        let query = |protocol: &'static str| {
            let query = NodeBuilder::new("query").children([NodeBuilder::new(protocol).build()]).build();
            let usync = NodeBuilder::new("usync").children([query]).build();
            NodeBuilder::new("iq").children([usync]).build()
        };
        let found = |namespace, kind, iq: &wacore_binary::Node| unknown_part(namespace, kind, &iq.as_node_ref());
        assert_eq!(found("usync", "get", &query("devices")), None);
        assert_eq!(found("usync", "get", &query("horoscope")).as_deref(), Some("usync/query/horoscope"));
        let deep = NodeBuilder::new("category").children([NodeBuilder::new("horoscope").build()]).build();
        let privacy = NodeBuilder::new("privacy").children([deep]).build();
        let iq = NodeBuilder::new("iq").children([privacy]).build();
        assert_eq!(found("privacy", "set", &iq).as_deref(), Some("privacy/category/horoscope"));
        assert_eq!(found("horoscope", "get", &iq).as_deref(), Some("horoscope get"));
    }
}
