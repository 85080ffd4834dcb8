//! The control API: every route on this page, the handlers by chapter.
//! Promises JSON errors `{"error": …}` that say what was wrong and what is right.

mod ab_properties;
mod accounts;
mod app_state;
mod calls;
mod certificate;
mod channels;
mod connections;
mod contacts;
mod document;
mod faults;
mod file_type;
mod groups;
mod load;
mod message_content;
mod message_context;
mod messages;
mod new_message;
mod passkey;
mod people;
mod phone;
mod received;
mod record;
mod response;
mod restrictions;
mod stanza;

use aide::axum::{
    ApiRouter,
    routing::{delete_with, get_with, post_with},
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State, WebSocketUpgrade},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};

use document::named;

use crate::{server, state::SharedState};

/// A body holds one medium in base64 at most.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A frame is at most 16 MiB, and a client coalesces 64 KiB of small ones.
const MAX_SOCKET_MESSAGE: usize = 17 * 1024 * 1024;

pub fn router(shared: SharedState) -> Router {
    document::begin();
    let calls = pairing_calls().merge(people_calls()).merge(chat_calls()).merge(server_calls());
    let (calls, document) = document::finish(calls);
    calls
        .route("/openapi.json", axum::routing::get(async || document))
        .route("/ws/chat", axum::routing::get(chat))
        .fallback(response::no_such_route)
        .method_not_allowed_fallback(response::no_such_method)
        .layer(from_fn_with_state(shared.clone(), record::note))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

/// What the accounts' phones do with clients that want to be linked.
fn pairing_calls() -> ApiRouter<SharedState> {
    let phone = "/admin/mock-phone";
    ApiRouter::new()
        .api_route(
            &format!("{phone}/scan-qr"),
            post_with(phone::scan_qr, named("scanQr", "Lets a phone scan a QR code")),
        )
        .api_route(
            &format!("{phone}/enter-code"),
            post_with(phone::enter_code, named("enterCode", "Enters a pairing code on a phone")),
        )
        .api_route(
            &format!("{phone}/expire-qr"),
            post_with(phone::expire_qr, named("expireQr", "Makes the codes on show worthless")),
        )
        .api_route(&format!("{phone}/power"), post_with(phone::power, named("setPower", "Switches a phone on or off")))
        .api_route(
            &format!("{phone}/require-passkey"),
            post_with(passkey::require, named("requirePasskey", "Asks who pairs for the account's passkey"))
                .delete_with(passkey::require_no_more, named("requireNoPasskey", "Asks for no passkey any more")),
        )
        .api_route(
            &format!("{phone}/sign-passkey"),
            post_with(passkey::sign, named("signPasskey", "Signs with the account's passkey")),
        )
        .api_route(
            &format!("{phone}/passkey"),
            get_with(passkey::show, named("showPasskey", "Shows how far a passkey is")),
        )
        .api_route(
            "/certificate",
            get_with(certificate::show, named("showCertificate", "Shows what a client has to trust")),
        )
        .api_route(
            "/sessions/logout",
            post_with(connections::log_out, named("logOut", "Removes companions from their phone")),
        )
}

/// Accounts and contacts: what they are, and what they do besides writing.
fn people_calls() -> ApiRouter<SharedState> {
    ApiRouter::new()
        .api_route("/accounts", get_with(accounts::list, named("listAccounts", "Lists accounts with their companions")))
        .api_route(
            "/accounts/{number}/app-state",
            get_with(app_state::show, named("showAppState", "Shows the settings that an account's devices share"))
                .post_with(app_state::change, named("changeAppState", "Lets the phone change such a setting")),
        )
        .api_route(
            "/accounts/{number}/ab-properties",
            get_with(ab_properties::list, named("listAbProperties", "Lists what is switched on for an account"))
                .patch_with(
                    ab_properties::change,
                    named("changeAbProperties", "Switches features of an account's clients"),
                ),
        )
        .api_route(
            "/accounts/{number}/nct-salt",
            post_with(
                ab_properties::make_salt,
                named("makeSalt", "Gives an account a salt for its proofs to strangers"),
            )
            .delete_with(ab_properties::drop_salt, named("dropSalt", "Takes that salt away")),
        )
        .api_route(
            "/accounts/{number}/history",
            post_with(people::history, named("tellHistory", "Lets a phone tell of the past")),
        )
        .api_route(
            "/accounts/{number}/stanzas",
            post_with(stanza::send, named("sendStanza", "Sends any stanza to a client")),
        )
        .api_route(
            "/accounts/{number}/recovered",
            post_with(people::recovered, named("recover", "Lets a phone give a message once more")),
        )
        .api_route(
            "/accounts/{number}/restriction",
            post_with(restrictions::begin, named("restrict", "Keeps an account from writing to strangers"))
                .delete_with(restrictions::end, named("restrictNoMore", "Ends that restriction")),
        )
        .api_route(
            "/contacts/{number}",
            get_with(contacts::show, named("showContact", "Shows a contact"))
                .patch_with(contacts::change, named("changeContact", "Changes a contact")),
        )
        .api_route(
            "/contacts/{number}/reinstall",
            post_with(contacts::reinstall, named("reinstall", "Gives a contact a new phone")),
        )
        .api_route(
            "/contacts/{number}/calls",
            get_with(calls::list, named("listCalls", "Lists a contact's calls"))
                .post_with(calls::call, named("call", "Lets a contact call")),
        )
        .api_route(
            "/contacts/{number}/presence",
            get_with(people::presences, named("listPresences", "Lists what clients showed of themselves"))
                .post_with(people::presence, named("showPresence", "Lets a contact come, go or type")),
        )
        .api_route(
            "/contacts/{number}/profile",
            post_with(people::profile, named("changeProfile", "Changes a contact's profile")),
        )
        .api_route(
            "/contacts/{number}/picture",
            get_with(contacts::picture, named("showPicture", "Gives the bytes of a picture")),
        )
}

/// What is written: to contacts, in groups and channels.
fn chat_calls() -> ApiRouter<SharedState> {
    ApiRouter::new()
        .api_route(
            "/contacts/{number}/messages",
            get_with(received::list, named("listReceived", "Lists what a contact received"))
                .post_with(contacts::write, named("write", "Lets a contact write")),
        )
        .api_route(
            "/contacts/{number}/messages/{id}/media",
            get_with(received::media, named("showMedia", "Gives the bytes of a received file")),
        )
        .api_route(
            "/contacts/{number}/sent/{id}",
            get_with(contacts::sent, named("showSent", "Shows a message that a contact sent")),
        )
        .api_route(
            "/contacts/{number}/receipts",
            get_with(contacts::receipts, named("listReceipts", "Lists the receipts that a contact got"))
                .post_with(contacts::confirm, named("confirm", "Lets a contact confirm a message")),
        )
        .api_route(
            "/channels",
            get_with(channels::list, named("listChannels", "Lists channels"))
                .post_with(channels::create, named("createChannel", "Lets a contact make a channel")),
        )
        .api_route("/channels/{channel}", get_with(channels::show, named("showChannel", "Shows a channel")))
        .api_route(
            "/channels/{channel}/messages",
            get_with(channels::messages, named("listChannelMessages", "Lists a channel's messages"))
                .post_with(channels::write, named("writeInChannel", "Writes in a channel")),
        )
        .api_route(
            "/messages",
            get_with(messages::list, named("listMessages", "Lists what clients have acknowledged, and what not")),
        )
        .api_route(
            "/groups",
            get_with(groups::list, named("listGroups", "Lists groups"))
                .post_with(groups::create, named("createGroup", "Makes a group")),
        )
        .api_route(
            "/groups/{id}",
            get_with(groups::show, named("showGroup", "Shows a group"))
                .patch_with(groups::change, named("changeGroup", "Changes a group")),
        )
        .api_route("/load", post_with(load::begin, named("beginLoad", "Lets many contacts write")))
        .api_route("/load/{id}", get_with(load::progress, named("showLoad", "Shows how far a load is")))
}

/// The server itself: connections, faults, clock, recordings.
fn server_calls() -> ApiRouter<SharedState> {
    ApiRouter::new()
        .api_route("/connections/drop", post_with(connections::drop_now, named("dropConnections", "Ends connections")))
        .api_route(
            "/connections/refuse",
            post_with(connections::refuse, named("refuseLogins", "Refuses logins"))
                .delete_with(connections::refuse_no_more, named("refuseNoLogins", "Refuses none any more")),
        )
        .api_route(
            "/faults",
            get_with(faults::list, named("listFaults", "Lists faults"))
                .post_with(faults::add, named("addFault", "Causes a fault"))
                .delete_with(faults::clear, named("clearFaults", "Ends all faults")),
        )
        .api_route("/faults/{id}", delete_with(faults::remove, named("removeFault", "Ends a fault")))
        .api_route(
            "/clock",
            get_with(messages::clock, named("showClock", "Shows the server's clock"))
                .post_with(messages::set_clock, named("setClock", "Moves the server's clock")),
        )
        .api_route("/statistics", get_with(messages::statistics, named("showStatistics", "Shows counts")))
        .api_route(
            "/record",
            get_with(record::show, named("showRecording", "Shows the recording, as steps or as a script"))
                .post_with(record::begin, named("beginRecording", "Begins a recording"))
                .delete_with(record::end, named("endRecording", "Ends the recording")),
        )
}

async fn chat(State(shared): State<SharedState>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_SOCKET_MESSAGE)
        .max_frame_size(MAX_SOCKET_MESSAGE)
        .on_upgrade(move |socket| server::accept(shared, socket))
        .into_response()
}
