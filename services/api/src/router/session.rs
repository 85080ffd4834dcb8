//! Routes of a session itself: its state, its pairing, its people.

use crate::{
    error_code::ErrorCode::{self, *},
    openapi::{DocumentedRouter, RouteAccess, operation},
    routes::whatsapp,
};
use serde_json::json;

/// Of every route that asks a gateway.
pub const GATEWAY: &[ErrorCode] = &[
    InvalidSession,
    InvalidRequest,
    SessionNotFound,
    NotOnWhatsapp,
    Conflict,
    RefusedByWhatsapp,
    NotConnected,
    GatewayUnavailable,
    BrokerUnavailable,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    TimedOut,
];
const PERSON: &[ErrorCode] = &[MissingRecipient, InvalidRecipient];

pub fn routes() -> DocumentedRouter {
    session_routes().merge(contact_routes())
}

fn session_routes() -> DocumentedRouter {
    DocumentedRouter::new("Session", RouteAccess::Keyed, GATEWAY)
        .get(
            "/whatsapp/status",
            whatsapp::status,
            operation("showSession", "Shows the session").describe(
                "`phoneLastSeen`: when the account's phone last wrote, read or answered; WhatsApp removes this device \
                 when the phone has been away for 14 days. While WhatsApp restricts the account, `restriction` says so.",
            ),
        )
        .get(
            "/whatsapp/qr",
            whatsapp::qr,
            operation("showQrCode", "Shows the QR code that waits to be scanned")
                .errors(&[QrNotAvailable])
                .describe(
                    "The raw text, or a picture; a code is valid for 20 s to 60 s. After a logout it begins a new pairing and waits up \
                     to 10 s for its code.",
                )
                .answer(json!({"success": true, "qrCode": "2@…"})),
        )
        .post(
            "/whatsapp/pairing-code",
            whatsapp::pairing_code,
            operation("createPairingCode", "Pairs without a camera: with eight characters that the user types on the phone")
                .errors(PERSON)
                .request(json!({"phoneNumber": "6281234567890"}))
                .answer(json!({"success": true, "message": "Pairing code created", "data": {"code": "ABCD1234", "expiresInSeconds": 180}})),
        )
        .get(
            "/whatsapp/passkey",
            whatsapp::passkey,
            operation("showPasskey", "Shows how far a pairing by passkey is").describe("docs/passkey.md has every step."),
        )
        .post(
            "/whatsapp/passkey/response",
            whatsapp::answer_passkey,
            operation("answerPasskey", "Hands over what the passkey signed"),
        )
        .post(
            "/whatsapp/passkey/confirm",
            whatsapp::confirm_passkey,
            operation("confirmPasskey", "Says that the phone shows the same code"),
        )
        .post(
            "/whatsapp/restart",
            whatsapp::restart,
            operation("restartSession", "Starts a session that has ended, with a new QR code after a logout"),
        )
        .post(
            "/whatsapp/logout",
            whatsapp::logout,
            operation("logout", "Ends the pairing").answer(json!({"success": true, "message": "Logged out successfully"})),
        )
        .post(
            "/whatsapp/presence",
            whatsapp::presence,
            operation("setPresence", "Shows the account as online or not")
                .errors(&[InvalidState])
                .request(json!({"state": "available"})),
        )
        .post(
            "/whatsapp/calls/{id}/reject",
            whatsapp::reject_call,
            operation("rejectCall", "Turns down a call that rings")
                .describe("`{id}` is `callId` of `call.received`.")
                .errors(&[MissingRecipient, InvalidRecipient, CallNotFound])
                .request(json!({"from": "6281234567890@s.whatsapp.net"})),
        )
        .put(
            "/whatsapp/profile/picture",
            whatsapp::set_own_picture,
            operation("setOwnPicture", "Sets the account's picture").errors(&[InvalidPicture]),
        )
        .delete(
            "/whatsapp/profile/picture",
            whatsapp::remove_own_picture,
            operation("removeOwnPicture", "Removes the account's picture"),
        )
}

fn contact_routes() -> DocumentedRouter {
    DocumentedRouter::new("Contacts", RouteAccess::Keyed, GATEWAY)
        .post(
            "/whatsapp/check-number",
            whatsapp::check_number,
            operation("checkNumber", "Says whether WhatsApp knows an account")
                .errors(PERSON)
                .request(json!({"number": "6281234567890"})),
        )
        .get(
            "/whatsapp/contacts/{id}",
            whatsapp::contact,
            operation("showContact", "Shows what somebody shows to this account").errors(PERSON),
        )
        .get(
            "/whatsapp/contacts/{id}/picture",
            whatsapp::contact_picture,
            operation("showContactPicture", "Shows where somebody's picture is").errors(&[
                MissingRecipient,
                InvalidRecipient,
                PictureNotFound,
            ]),
        )
        .post(
            "/whatsapp/subscribe-presence",
            whatsapp::subscribe_presence,
            operation("subscribePresence", "Asks for the presence of somebody, as events from now on")
                .errors(PERSON)
                .request(json!({"to": "6281234567890"})),
        )
        .get(
            "/whatsapp/blocklist",
            whatsapp::blocklist,
            operation("listBlocked", "Lists whom the account blocks, in the order of their addresses"),
        )
        .post(
            "/whatsapp/block",
            whatsapp::block,
            operation("block", "Blocks somebody").errors(PERSON).request(json!({"number": "6281234567890"})),
        )
        .post(
            "/whatsapp/unblock",
            whatsapp::unblock,
            operation("unblock", "Unblocks somebody").errors(PERSON).request(json!({"number": "6281234567890"})),
        )
}
