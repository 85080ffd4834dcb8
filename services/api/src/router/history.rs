//! Routes of the search index: events, deliveries, chats, people, and what keeps the index; keys and logins.

use crate::{
    error_code::ErrorCode::{self, *},
    event_stream::follow_events,
    openapi::{DocumentedRouter, RouteAccess, operation},
    routes::{chats, deliveries, events, index, keys, login},
};
use serde_json::json;

/// Of every route that asks the index.
const INDEXED: &[ErrorCode] = &[IndexBusy];

pub fn routes() -> DocumentedRouter {
    event_routes().merge(delivery_routes()).merge(chat_routes()).merge(index_routes()).merge(key_routes())
}

fn event_routes() -> DocumentedRouter {
    DocumentedRouter::new("Events", RouteAccess::Keyed, INDEXED)
        .get(
            "/api/events",
            events::list,
            operation("listEvents", "Lists events, the newest first").describe("From the search index, without data."),
        )
        .get(
            "/api/events/stream",
            follow_events,
            operation("followEvents", "Sends events as they are stored, as server-sent events")
                .describe(
                    "`id` is the sequence: with the header `Last-Event-ID` the stream goes on behind it, without a gap. An \
                     event `gap` names those that NATS does not have any more. A caller that takes nothing for 10 s is cut off.",
                )
                .errors(&[BrokerUnavailable, TooManyStreams]),
        )
        .get(
            "/api/events/{id}",
            events::show,
            operation("showEvent", "Shows an event with its data")
                .describe("`{id}` is the id of the event, the id of a WhatsApp message, or a sequence in EVENTS.")
                .errors(&[EventNotFound, BrokerUnavailable]),
        )
        .get(
            "/api/events/{id}/life",
            events::life,
            operation("showEventLife", "Shows everything that happened to an event, and where it is at each endpoint")
                .describe("`{id}` as for `showEvent`.")
                .errors(&[EventNotFound, BrokerUnavailable]),
        )
}

fn delivery_routes() -> DocumentedRouter {
    DocumentedRouter::new("Deliveries", RouteAccess::Keyed, INDEXED)
        .get("/api/deliveries", deliveries::list, operation("listDeliveries", "Lists attempts, the newest first"))
        .post(
            "/api/deliveries/resend",
            deliveries::resend,
            operation("resendDeliveries", "Delivers the events of a selection of attempts again")
                .describe(
                    "Each event goes once to the endpoint of its attempts, at most 10,000 in all. Without `\"dryRun\": \
                     false` it only says how many they would be.",
                )
                .errors(&[
                    InvalidSelection,
                    InvalidRequest,
                    EndpointNotFound,
                    Conflict,
                    BrokerUnavailable,
                    DispatcherUnavailable,
                    TimedOut,
                ])
                .request(json!({"endpoint": "default", "outcome": "refused", "dryRun": true})),
        )
        .get(
            "/api/deliveries/{id}",
            deliveries::show,
            operation("showDelivery", "Shows an attempt").errors(&[DeliveryNotFound]),
        )
}

fn chat_routes() -> DocumentedRouter {
    DocumentedRouter::new("Chats", RouteAccess::Keyed, INDEXED)
        .get("/api/chats", chats::list, operation("listChats", "Lists chats, the one with the newest message first"))
        .get(
            "/api/chats/{id}/messages",
            chats::messages,
            operation("listMessages", "Lists the messages of a chat, the newest first").errors(&[ChatNotFound]),
        )
        .delete(
            "/api/chats/{id}",
            chats::erase,
            operation("eraseChat", "Erases a chat, or all that a person wrote, from the search index")
                .describe(
                    "From every replica's index, also when it is made again. NATS itself keeps events as long as before: \
                     14 days, dead letters 30.",
                )
                .errors(&[ChatNotFound, BrokerUnavailable, NotStored]),
        )
        .get("/api/contacts", chats::contacts, operation("listContacts", "Lists people, the one who wrote last first"))
        .get(
            "/api/search",
            chats::find,
            operation("search", "Finds messages by their words, people by name or number, and events by an id"),
        )
}

fn index_routes() -> DocumentedRouter {
    DocumentedRouter::new("Index", RouteAccess::Keyed, INDEXED)
        .get(
            "/api/index",
            index::show,
            operation("showIndex", "Says how far the search index of this replica is").errors(&[BrokerUnavailable]),
        )
        .post(
            "/api/index/rebuild",
            index::rebuild,
            operation("rebuildIndex", "Makes the search index of this replica again from the streams"),
        )
        .get(
            "/api/statistics",
            index::show_statistics,
            operation("showStatistics", "Counts attempts by time, for charts"),
        )
}

fn key_routes() -> DocumentedRouter {
    DocumentedRouter::new("Keys", RouteAccess::Keyed, &[])
        .get(
            "/api/keys",
            keys::list,
            operation("listKeys", "Lists the keys, the oldest first").errors(&[BrokerUnavailable]),
        )
        .post(
            "/api/keys",
            keys::create,
            operation("createKey", "Makes a key; it is shown this once")
                .describe(
                    "Scopes: `read`, `send`, `manage`, `admin`. `API_KEY` is the admin key and is not in the list.",
                )
                .errors(&[InvalidKey, TooManyKeys, BrokerUnavailable, NotStored])
                .request(json!({"name": "CRM", "scopes": ["read", "send"]})),
        )
        .delete(
            "/api/keys/{id}",
            keys::delete,
            operation("deleteKey", "Deletes a key: every replica refuses it from now on").errors(&[
                KeyNotFound,
                BrokerUnavailable,
                NotStored,
            ]),
        )
        .get(
            "/api/audit",
            keys::audit,
            operation("listAudit", "Lists what was changed, by which key and from where, the newest first")
                .errors(INDEXED),
        )
        .get("/api/login", login::show_login, operation("showLogin", "Shows whose key a request has"))
}

pub fn open_routes() -> DocumentedRouter {
    DocumentedRouter::new("Keys", RouteAccess::Open, &[])
        .post(
            "/api/login",
            login::log_in,
            operation("logIn", "Logs a browser in: the answer sets a cookie")
                .describe("A change by a browser that is logged in needs the page's token as `X-CSRF-Token`.")
                .errors(&[InvalidApiKey, TooManyWrongKeys, BrokerUnavailable, NotStored]),
        )
        .delete("/api/login", login::log_out, operation("logOut", "Logs a browser out"))
}
