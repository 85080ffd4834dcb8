//! What a key may do, and what each route takes. Pure.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything but keys and the audit log.
    Read,
    /// Send and change messages.
    Send,
    /// Change endpoints, sessions, groups; replay, resend and delete.
    Manage,
    /// Everything: keys, the audit log and the export of sessions included.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Manage, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Manage => "manage",
            Self::Admin => "admin",
        }
    }
}

/// Routes of which the key's scope is checked by their path alone.
const OF_ADMIN: [&str; 3] = ["/api/keys", "/api/audit", "/api/index/rebuild"];
/// Routes of a session that change the session itself, its people or its groups; the QR code pairs anybody who has it.
const OF_SESSION: [&str; 9] =
    ["qr", "pairing-code", "passkey", "restart", "logout", "profile", "groups", "block", "unblock"];
/// Questions that come as POST.
const QUESTIONS: [&str; 2] = ["check-number", "subscribe-presence"];

/// The scope that a route takes; `route` is its path with the names of its parameters.
pub fn required_scope(method: &Method, route: &str) -> Scope {
    let is_read = method == Method::GET || method == Method::HEAD;
    if OF_ADMIN.iter().any(|path| route == *path || route.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    {
        return Scope::Admin;
    }
    // A caller that has the file has the account.
    if route.ends_with("/export") {
        return Scope::Admin;
    }
    let Some((_, of_session)) = route.split_once("/whatsapp/") else {
        return if is_read { Scope::Read } else { Scope::Manage };
    };
    let first = of_session.split('/').next().unwrap_or_default();
    let pairs = matches!(first, "qr" | "passkey");
    match (is_read, OF_SESSION.contains(&first), QUESTIONS.contains(&first)) {
        (true, _, _) if !pairs => Scope::Read,
        (_, _, true) => Scope::Read,
        (_, true, _) => Scope::Manage,
        (_, false, false) => Scope::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_route_takes_its_scope() {
        for (method, route, scope) in [
            (Method::GET, "/api/endpoints", Scope::Read),
            (Method::POST, "/api/endpoints", Scope::Manage),
            (Method::DELETE, "/api/chats/{id}", Scope::Manage),
            (Method::GET, "/api/keys", Scope::Admin),
            (Method::DELETE, "/api/keys/{id}", Scope::Admin),
            (Method::GET, "/api/audit", Scope::Admin),
            (Method::GET, "/api/sessions/{session}/export", Scope::Admin),
            (Method::POST, "/api/sessions/{session}/adopt", Scope::Manage),
            (Method::POST, "/api/sessions/import", Scope::Manage),
            (Method::GET, "/api/whatsapp/status", Scope::Read),
            (Method::GET, "/api/whatsapp/qr", Scope::Manage),
            (Method::GET, "/api/sessions/{session}/whatsapp/passkey", Scope::Manage),
            (Method::POST, "/api/whatsapp/send-message", Scope::Send),
            (Method::POST, "/api/sessions/{session}/whatsapp/jobs", Scope::Send),
            (Method::POST, "/api/whatsapp/logout", Scope::Manage),
            (Method::GET, "/api/whatsapp/groups", Scope::Read),
            (Method::POST, "/api/whatsapp/groups/{id}/leave", Scope::Manage),
            (Method::POST, "/api/whatsapp/check-number", Scope::Read),
            (Method::POST, "/api/webhook/send", Scope::Manage),
        ] {
            assert_eq!(required_scope(&method, route), scope, "{method} {route}");
        }
    }
}
