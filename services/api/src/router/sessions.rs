//! Routes of sessions as resources, and of sessions as files.

use crate::{
    error_code::ErrorCode::{self, *},
    openapi::{DocumentedRouter, RouteAccess, operation},
    routes::{sessions, whatsapp},
};
use serde_json::json;

/// Of every route that reads or writes what NATS keeps.
const STORED: &[ErrorCode] = &[BrokerUnavailable];
const GATEWAY_OF_SESSION: &[ErrorCode] =
    &[SessionNotFound, SessionStopped, SessionMoving, InvalidSession, NotConnected, TimedOut];

pub fn routes() -> DocumentedRouter {
    const CHANGED: &[ErrorCode] = &[SessionNotFound, InvalidSession, Conflict, NotStored];
    DocumentedRouter::new("Sessions", RouteAccess::Keyed, STORED)
        .get(
            "/api/sessions",
            sessions::list_sessions,
            operation("listSessions", "Lists the sessions, in the order of their ids"),
        )
        .post(
            "/api/sessions",
            sessions::create_session,
            operation("createSession", "Makes a session, which starts at once and shows a QR code")
                .errors(&[InvalidSession, SessionExists, NotStored])
                .request(json!({"id": "sales", "name": "Sales", "metadata": {"crm": "7"}})),
        )
        .get(
            "/api/sessions/{session}",
            sessions::show_session,
            operation("readSession", "Shows a session and its state").errors(&[SessionNotFound, InvalidSession]),
        )
        .patch(
            "/api/sessions/{session}",
            sessions::change_session,
            operation("changeSession", "Changes the fields that the body names")
                .describe("A new name and new metadata hold at once; another change starts the session again.")
                .errors(CHANGED)
                .request(json!({"metadata": {"crm": "8"}})),
        )
        .delete(
            "/api/sessions/{session}",
            sessions::delete_session,
            operation("deleteSession", "Logs a session out, ends its jobs, wipes its keys, and says what it did")
                .errors(CHANGED),
        )
        .post(
            "/api/sessions/{session}/start",
            sessions::start_session,
            operation("startSession", "Starts a stopped session").errors(CHANGED),
        )
        .post(
            "/api/sessions/{session}/stop",
            sessions::stop_session,
            operation("stopSession", "Stops a session until it is started, also across restarts").errors(CHANGED),
        )
        .post(
            "/api/sessions/{session}/restart",
            whatsapp::restart,
            operation("reconnectSession", "Connects a session again that has ended").errors(GATEWAY_OF_SESSION),
        )
        .post(
            "/api/sessions/{session}/logout",
            whatsapp::logout,
            operation("logOutSession", "Removes this device from the account; the session stays")
                .errors(GATEWAY_OF_SESSION),
        )
}

pub fn file_routes() -> DocumentedRouter {
    DocumentedRouter::new("Sessions", RouteAccess::Keyed, GATEWAY_OF_SESSION)
        .post(
            "/api/sessions/{session}/adopt",
            sessions::adopt_session,
            operation("adoptSession", "Takes over the session of a program that uses Baileys, without a new pairing")
                .describe(
                    "The body is a tar file of the folder with `creds.json`. Stop that program first: two clients with \
                     the same keys end each other. What cannot be read is named in `leftOut`; its keys are made anew.",
                )
                .errors(&[InvalidSessionFile, EmptyFile, FileTooLarge, Conflict, NotStored, TooBusy]),
        )
        .post(
            "/api/sessions/import",
            sessions::import_session,
            operation("importSession", "Makes a session of one that was exported, with its keys and settings").errors(
                &[
                    InvalidSessionFile,
                    InvalidPassphrase,
                    InvalidQuery,
                    EmptyFile,
                    FileTooLarge,
                    SessionExists,
                    Conflict,
                    NotStored,
                    TooBusy,
                ],
            ),
        )
        .get(
            "/api/sessions/{session}/export",
            sessions::export_session,
            operation("exportSession", "Sends the keys and settings of a stopped session, sealed with a passphrase")
                .describe(
                    "Who has the file and the passphrase has the account. Do not start the session here again once it \
                     runs elsewhere.",
                )
                .errors(&[InvalidPassphrase, Conflict, GatewayUnavailable, BrokerUnavailable]),
        )
}
