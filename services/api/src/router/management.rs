//! Routes of Kurir itself: endpoints, dead letters, replays, the webhook, files, health.

use crate::{
    diagnosis,
    error_code::ErrorCode::{self, *},
    openapi::{DocumentedRouter, RouteAccess, operation},
    routes::{dead_letters, demo, endpoints, health, ledger, media, metrics, replays, webhook},
};
use serde_json::json;

/// Of every route that reads or writes what NATS keeps.
const STORED: &[ErrorCode] = &[BrokerUnavailable];
const ENDPOINT: &[ErrorCode] = &[EndpointNotFound];
const CHANGED_ENDPOINT: &[ErrorCode] = &[EndpointNotFound, ManagedByEnvironment, Conflict, NotStored];

pub fn open_routes() -> DocumentedRouter {
    DocumentedRouter::new("Health", RouteAccess::Open, &[])
        .get("/api/health", health::brief, operation("showHealth", "Says that the API runs"))
        .get(
            "/api/health/detailed",
            health::detailed,
            operation("showDetailedHealth", "Shows each service that answers, and whether NATS is there"),
        )
        .get(
            "/api/metrics",
            metrics::show,
            operation("showMetrics", "Shows the counters")
                .describe("The counters live in memory, since the start or the last reset."),
        )
        .merge(DocumentedRouter::new("Files", RouteAccess::Open, &[]).get(
            "/media/{file}",
            media::show,
            operation("downloadFile", "Sends a received file, whole or a range")
                .describe(
                    "No key: who has the link may fetch the file. `Range`, `If-Range`, `If-None-Match` and `HEAD` work. \
                     What a browser would run comes as an attachment.",
                )
                .errors(&[MediaNotFound, RangeNotSatisfiable, BrokerUnavailable]),
        ))
}

pub fn webhook_routes() -> DocumentedRouter {
    let answer = json!({"success": true, "message": "Webhook test completed", "result": {"success": true, "status": 200, "attempt": 1}});
    DocumentedRouter::new("Webhook", RouteAccess::Keyed, &[])
        .get(
            "/api/webhook/status",
            webhook::status,
            operation("showWebhook", "Says whether events are delivered to WEBHOOK_URL"),
        )
        .post(
            "/api/webhook/test",
            webhook::test,
            operation("testWebhook", "Delivers a test event and says how the delivery ended")
                .describe(
                    "The event goes the way of every event. The answer comes when its delivery has ended, or after 25 s. \
                     Webhooks disabled: no `result`, and the event is in NATS all the same.",
                )
                .errors(&[InvalidEventType, InvalidData, EventTooLarge, EventNotStored, BrokerUnavailable])
                .request(json!({"eventType": "test", "data": {}}))
                .answer(answer),
        )
        .post(
            "/api/webhook/send",
            webhook::send,
            operation("sendEvent", "Delivers an event of your own, as it is")
                .errors(&[
                    MissingEventType,
                    InvalidEventType,
                    InvalidData,
                    EventTooLarge,
                    EventNotStored,
                    BrokerUnavailable,
                ])
                .request(json!({"eventType": "custom.event", "data": {"orderId": 7}})),
        )
}

pub fn keyed_routes() -> DocumentedRouter {
    DocumentedRouter::new("Health", RouteAccess::Keyed, &[])
        .get(
            "/api/diagnosis",
            diagnosis::diagnose,
            operation("diagnose", "Looks at the whole installation, and says what is wrong and what to do").describe(
                "NATS, services and their versions, clocks and disks, streams and their limits, sessions, endpoints, dead \
                 letters. `kurir doctor` shows it. While NATS is away it says so, and nothing else can be looked at.",
            ),
        )
        .post("/api/metrics/reset", metrics::reset, operation("resetMetrics", "Sets the counters to zero"))
        .merge(endpoint_routes())
        .merge(demo_routes())
        .merge(dead_letter_routes())
        .merge(replay_routes())
}

/// What the demo's dashboard does with the simulated WhatsApp.
fn demo_routes() -> DocumentedRouter {
    const DEMO: &[ErrorCode] = &[InvalidRequest, RouteNotFound, TimedOut];
    DocumentedRouter::new("Demo", RouteAccess::Keyed, DEMO)
        .post(
            "/api/demo/messages",
            demo::write_as_contact,
            operation("writeAsContact", "Writes as a contact of the simulated WhatsApp")
                .describe("Only with `SIMULATOR_URL`, as in the demo.")
                .request(json!({"contact": "6281234567890", "text": "Hello"})),
        )
        .post(
            "/api/demo/faults",
            demo::break_something,
            operation("breakSomething", "Breaks something between the simulated WhatsApp and the gateway")
                .describe("Only with `SIMULATOR_URL`, as in the demo.")
                .request(json!({"fault": "drop_connections"})),
        )
}

fn endpoint_routes() -> DocumentedRouter {
    DocumentedRouter::new("Endpoints", RouteAccess::Keyed, STORED)
        .get(
            "/api/endpoints",
            endpoints::list_endpoints,
            operation("listEndpoints", "Lists the endpoints, the oldest first"),
        )
        .post(
            "/api/endpoints",
            endpoints::create_endpoint,
            operation("createEndpoint", "Makes an endpoint")
                .describe("Its events begin now. The `secret` is shown this once.")
                .errors(&[InvalidEndpoint, TooManyEndpoints, Conflict, NotStored])
                .request(json!({"url": "https://example.org/webhook", "events": ["message.*"]})),
        )
        .get(
            "/api/endpoints/{id}",
            endpoints::show_endpoint,
            operation("showEndpoint", "Shows an endpoint, how it fares and what waits for it").errors(ENDPOINT),
        )
        .patch(
            "/api/endpoints/{id}",
            endpoints::change_endpoint,
            operation("changeEndpoint", "Changes the fields that the body names")
                .errors(&[InvalidEndpoint, EndpointNotFound, ManagedByEnvironment, Conflict, NotStored])
                .request(json!({"description": "CRM", "concurrency": 8})),
        )
        .delete(
            "/api/endpoints/{id}",
            endpoints::delete_endpoint,
            operation("deleteEndpoint", "Deletes an endpoint").errors(CHANGED_ENDPOINT),
        )
        .post(
            "/api/endpoints/{id}/enable",
            endpoints::enable_endpoint,
            operation("enableEndpoint", "Enables an endpoint and forgets its failures").errors(CHANGED_ENDPOINT),
        )
        .post(
            "/api/endpoints/{id}/disable",
            endpoints::disable_endpoint,
            operation("disableEndpoint", "Disables an endpoint; its events wait").errors(CHANGED_ENDPOINT),
        )
        .post(
            "/api/endpoints/{id}/test",
            endpoints::test_endpoint,
            operation("testEndpoint", "Delivers a test event to this endpoint alone")
                .describe("Answers as `testWebhook` does; given up, `result` also has a `reason`.")
                .errors(&[
                    InvalidEventType,
                    InvalidData,
                    EndpointNotFound,
                    EndpointDisabled,
                    EventTooLarge,
                    EventNotStored,
                ])
                .request(json!({})),
        )
        .post(
            "/api/endpoints/{id}/secret/rotate",
            endpoints::rotate_secret,
            operation("rotateSecret", "Makes a new secret; the old one signs too for a while")
                .errors(&[InvalidRotation, EndpointNotFound, ManagedByEnvironment, Conflict, NotStored])
                .request(json!({"keepOldForSeconds": 3600})),
        )
}

fn dead_letter_routes() -> DocumentedRouter {
    DocumentedRouter::new("Dead letters", RouteAccess::Keyed, STORED)
        .get(
            "/api/dead-letters",
            dead_letters::list_dead_letters,
            operation("listDeadLetters", "Lists events that were given up, the oldest first")
                .describe("A page ends at 4 MB of events, even if more fit into `limit`.")
                .errors(ENDPOINT),
        )
        .post(
            "/api/dead-letters/replay",
            dead_letters::replay_dead_letters,
            operation("replayDeadLetters", "Delivers all dead letters of an endpoint again")
                .errors(&[InvalidReplay, InvalidRequest, EndpointNotFound, Conflict, DispatcherUnavailable, TimedOut])
                .request(json!({"endpoint": "default"})),
        )
        .get(
            "/api/dead-letters/{id}",
            dead_letters::show_dead_letter,
            operation("showDeadLetter", "Shows a dead letter").errors(&[DeadLetterNotFound]),
        )
        .delete(
            "/api/dead-letters/{id}",
            dead_letters::delete_dead_letter,
            operation("deleteDeadLetter", "Deletes a dead letter").errors(&[DeadLetterNotFound]),
        )
        .post(
            "/api/dead-letters/{id}/replay",
            dead_letters::replay_dead_letter,
            operation("replayDeadLetter", "Delivers a dead letter again").errors(&[
                InvalidRequest,
                DeadLetterNotFound,
                EndpointNotFound,
                Conflict,
                DispatcherUnavailable,
                TimedOut,
            ]),
        )
}

fn replay_routes() -> DocumentedRouter {
    DocumentedRouter::new("Replays", RouteAccess::Keyed, STORED)
        .get(
            "/api/replays",
            replays::list_replays,
            operation("listReplays", "Lists the replays, the newest first, as they were stored last").errors(ENDPOINT),
        )
        .post(
            "/api/replays",
            replays::create_replay,
            operation("createReplay", "Delivers all events of an endpoint since a time again")
                .errors(&[InvalidReplay, InvalidRequest, EndpointNotFound, Conflict, DispatcherUnavailable, TimedOut])
                .request(json!({"endpoint": "default", "since": "2026-11-24T00:00:00Z"})),
        )
        .get(
            "/api/replays/{id}",
            replays::show_replay,
            operation("showReplay", "Shows a replay as it stands now").errors(&[
                InvalidRequest,
                ReplayNotFound,
                Conflict,
                DispatcherUnavailable,
                TimedOut,
            ]),
        )
        .delete(
            "/api/replays/{id}",
            replays::cancel_replay,
            operation("cancelReplay", "Ends a replay: what was not delivered yet will not be").errors(&[
                InvalidRequest,
                ReplayNotFound,
                Conflict,
                DispatcherUnavailable,
                TimedOut,
            ]),
        )
        .get(
            "/api/ledger",
            ledger::show_ledger,
            operation("showLedger", "Counts where an endpoint's events are")
                .describe("`matched` is the sum of all others: `missing` is what was lost.")
                .errors(&[InvalidRequest, EndpointNotFound, Conflict, DispatcherUnavailable, TimedOut]),
        )
}
