//! Contacts: what they write, receive and confirm, and how they behave.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::NoContent;
use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    new_message::{NewMessage, SendingContact},
    response::{ApiError, ApiResult, Created, DialledPath, JsonBody, MessageCreated, NumberPath},
};
use crate::{
    people::{AddressingMode, BusinessProfile, ReceiptMode, ReceivedReceipt, SimulatedPerson, TokenKind},
    phone_number::PhoneNumber,
    privacy::PrivacyCategory,
    stanza::OutboundMessage,
    state::{ServerState, SharedState},
};

/// A message id is what a client's database takes without thinking.
const MAX_ID: usize = 128;

pub async fn write(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewMessage>,
) -> ApiResult<Created<MessageCreated>> {
    let store = shared.lock().media.clone();
    if new.to.is_some() && new.group.is_some() {
        return Err(ApiError::bad("give `to` or `group`, not both"));
    }
    if new.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_ID) {
        return Err(ApiError::bad(format!("`id` has 1 to {MAX_ID} characters")));
    }
    let to = match (&new.to, &new.group) {
        (_, Some(_)) => None,
        (None, None) if new.status == Some(true) => None,
        (Some(to), None) => Some(to.clone()),
        (None, None) => Some(only_account(&shared.lock(), &number)?),
    };
    let (poll, original, addressing) = {
        let mut server = shared.lock();
        // Groups are addressed by LID.
        let own = server.people.meet(&number)?.addressing;
        let addressing = if new.group.is_some() { AddressingMode::Lid } else { new.addressing.unwrap_or(own) };
        let target = new.target.as_deref();
        let inbox = server.people.get(&number).map(|person| &person.inbox);
        let poll = inbox.and_then(|inbox| inbox.find(target?)).cloned();
        (poll, target.and_then(|target| server.sent.find(&number, target)).cloned(), addressing)
    };
    // Encryption of media takes its time, so it happens before the lock.
    let speaker = SendingContact {
        number: &number,
        to: to.as_ref(),
        addressing,
        poll: poll.as_ref(),
        original: original.as_ref(),
    };
    let message = new.message(&store, speaker)?;
    let raw = new.raw()?;
    let mut server = shared.lock();
    let id = new.id.unwrap_or_else(|| server.fresh_id("3A"));
    if new.status == Some(true) {
        server.show_status(&number, &id, &message)?;
        return Ok(Created(MessageCreated { id }));
    }
    server.say(
        &number,
        OutboundMessage {
            id: id.clone(),
            message,
            raw,
            to,
            group: new.group,
            addressing: new.addressing,
            push_name: new.push_name,
            broadcast: new.broadcast,
            unavailable: new.unavailable,
        },
    )?;
    Ok(Created(MessageCreated { id }))
}

/// The account that a call means if it names none.
pub fn only_account(server: &ServerState, but: &PhoneNumber) -> ApiResult<PhoneNumber> {
    let mut accounts = server.people.accounts().filter(|person| person.number != *but && !person.companions.is_empty());
    match (accounts.next(), accounts.next()) {
        (Some(only), None) => Ok(only.number.clone()),
        (None, _) => {
            Err(ApiError::conflict("no account has a companion: pair one first (POST /admin/mock-phone/scan-qr)"))
        }
        (Some(_), Some(_)) => {
            Err(ApiError::bad("there are several accounts: name one in `to` (GET /accounts lists them)"))
        }
    }
}

pub async fn receipts(State(shared): State<SharedState>, NumberPath(number): NumberPath) -> Json<Vec<ReceivedReceipt>> {
    let server = shared.lock();
    let person = server.people.get(&number);
    Json(person.into_iter().flat_map(|person| person.inbox.receipts().cloned()).collect())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptKind {
    Delivered,
    Read,
    Played,
    /// The phone asks for the message once more.
    Retry,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReceipt {
    id: String,
    #[serde(rename = "type")]
    kind: ReceiptKind,
}

pub async fn confirm(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewReceipt>,
) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    let message = server
        .people
        .get(&number)
        .and_then(|person| person.inbox.find(&new.id))
        .ok_or_else(|| ApiError::not_found(format!("{number} has received no message {:?}", new.id)))?
        .clone();
    let to = if message.addressing == "lid" { number.lid_jid(0) } else { number.jid(0) };
    let kind = match new.kind {
        ReceiptKind::Delivered => None,
        ReceiptKind::Read => Some("read"),
        ReceiptKind::Played => Some("played"),
        ReceiptKind::Retry => {
            server.ask_for(&number, &message, &to)?;
            return Ok(NoContent);
        }
    };
    server.confirm(&number, &message.from, &to, message.group.as_deref(), &new.id, kind);
    Ok(NoContent)
}

/// A message that the contact sent, as protobuf: with the address and the keys of its file, and with its secret.
pub async fn sent(
    State(shared): State<SharedState>,
    Path((number, id)): Path<(String, String)>,
) -> ApiResult<Json<serde_json::Value>> {
    let number: PhoneNumber = number.parse().map_err(ApiError::bad)?;
    let server = shared.lock();
    let sent = server
        .sent
        .find(&number, &id)
        .ok_or_else(|| ApiError::not_found(format!("{number} has sent no message {id:?}")))?;
    Ok(Json(serde_json::json!({"id": id, "base64": BASE64_STANDARD.encode(&sent.plaintext)})))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    number: PhoneNumber,
    lid: String,
    push_name: String,
    registered: bool,
    receipts: ReceiptMode,
    addressing: AddressingMode,
    account: bool,
    about: Option<String>,
    /// Its id; null if there is none.
    picture: Option<String>,
    refuses_groups: bool,
    hides_number: bool,
    blocked: BTreeSet<PhoneNumber>,
    aliases: BTreeSet<PhoneNumber>,
    /// Null for who is no business.
    business: Option<BusinessProfile>,
    /// What a stranger has to show to write to the contact; empty: nothing.
    restricted: BTreeSet<TokenKind>,
    privacy: BTreeMap<&'static str, String>,
}

impl ContactView {
    fn of(person: &SimulatedPerson) -> Self {
        Self {
            number: person.number.clone(),
            lid: person.lid.clone(),
            push_name: person.push_name.clone(),
            registered: person.registered,
            receipts: person.receipts,
            addressing: person.addressing,
            account: person.is_account,
            about: person.about.clone(),
            picture: person.picture.as_ref().map(|picture| picture.id.clone()),
            refuses_groups: person.refuses_groups,
            hides_number: person.hides_number,
            blocked: person.blocked.clone(),
            aliases: person.aliases.clone(),
            business: person.business.clone(),
            restricted: person.tokens.demanded().cloned().unwrap_or_default(),
            privacy: PrivacyCategory::ALL
                .into_iter()
                .map(|category| (category.name(), person.privacy.value(category).to_owned()))
                .collect(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactChanges {
    push_name: Option<String>,
    registered: Option<bool>,
    receipts: Option<ReceiptMode>,
    addressing: Option<AddressingMode>,
    /// Nobody can add this contact to a group.
    refuses_groups: Option<bool>,
    /// Clients learn the LID and never the number.
    hides_number: Option<bool>,
    /// The numbers that lead to this contact when somebody dials them. The contact itself is registered as it is written.
    aliases: Option<BTreeSet<PhoneNumber>>,
    restricted: Option<StrangerRule>,
    /// Null ends being one.
    #[serde(default, deserialize_with = "given")]
    business: Option<Option<BusinessProfile>>,
    /// By category, in WhatsApp's words.
    privacy: Option<BTreeMap<String, String>>,
}

/// Tells a field that is null from one that is absent.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Whether strangers need a token: `true` means that either kind will do.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`restricted` is true, false, or a list of `tctoken` and `cstoken`")]
enum StrangerRule {
    All(bool),
    Some(BTreeSet<TokenKind>),
}

impl StrangerRule {
    fn kinds(self) -> Option<BTreeSet<TokenKind>> {
        match self {
            Self::All(true) => Some(BTreeSet::from([TokenKind::TcToken, TokenKind::CsToken])),
            Self::All(false) => None,
            Self::Some(kinds) => Some(kinds).filter(|kinds| !kinds.is_empty()),
        }
    }
}

pub async fn show(State(shared): State<SharedState>, NumberPath(number): NumberPath) -> ApiResult<Json<ContactView>> {
    let mut server = shared.lock();
    Ok(Json(ContactView::of(server.people.meet(&number)?)))
}

pub async fn change(
    State(shared): State<SharedState>,
    DialledPath(dialled): DialledPath,
    JsonBody(change): JsonBody<ContactChanges>,
) -> ApiResult<Json<ContactView>> {
    let mut server = shared.lock();
    server.dirty = true;
    let number = match change.aliases {
        Some(aliases) => {
            let set = server.people.set_aliases(&dialled, aliases);
            set.map_err(|error| ApiError::conflict(error.to_string()))?;
            dialled
        }
        None => server.people.registered(&dialled),
    };
    let person = server.people.meet(&number)?;
    if let Some(push_name) = change.push_name {
        person.push_name = push_name;
    }
    person.registered = change.registered.unwrap_or(person.registered);
    person.receipts = change.receipts.unwrap_or(person.receipts);
    person.addressing = change.addressing.unwrap_or(person.addressing);
    for (name, value) in change.privacy.iter().flatten() {
        let category = PrivacyCategory::from_name(name)
            .ok_or_else(|| ApiError::bad(format!("there is no privacy setting {name:?}")))?;
        if !person.privacy.set(category, value) {
            return Err(ApiError::bad(format!("{name} is one of {}", category.values().join(", "))));
        }
    }
    if let Some(business) = change.business {
        person.business = business;
    }
    if let Some(rule) = change.restricted {
        person.tokens.demand(rule.kinds());
    }
    person.hides_number = change.hides_number.unwrap_or(person.hides_number);
    person.refuses_groups = change.refuses_groups.unwrap_or(person.refuses_groups);
    Ok(Json(ContactView::of(person)))
}

/// The bytes of somebody's picture.
pub async fn picture(State(shared): State<SharedState>, NumberPath(number): NumberPath) -> ApiResult<Response> {
    let server = shared.lock();
    let picture = server.people.get(&number).and_then(|person| person.picture.as_ref());
    let bytes = picture.and_then(|picture| server.media.get(&picture.path));
    let bytes = bytes.ok_or_else(|| ApiError::not_found(format!("{number} has no picture")))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], bytes).into_response())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reinstallation {
    /// The server tells who has a chat with the contact; true if not given.
    notice: Option<bool>,
}

/// Installs the contact's phone again: it has a new identity and no session.
pub async fn reinstall(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(reinstallation): JsonBody<Reinstallation>,
) -> ApiResult<Json<ContactView>> {
    let mut server = shared.lock();
    server.dirty = true;
    server.groups.forget_sender(&number);
    server.people.meet(&number)?.reinstall()?;
    if reinstallation.notice != Some(false) {
        server.tell_of_new_identity(&number);
    }
    Ok(Json(ContactView::of(server.people.meet(&number)?)))
}
