//! `/api/chats`, `/api/contacts` and `/api/search`: what people wrote, from the search index, and its erasure.

use super::events::{page_of, read_page, text_value};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{PathId, QueryParams},
    fields::{CursorText, Field, FieldErrors, PageLimit, Text},
    index::query::{
        PageRequest,
        chats::{ChatFilter, ChatView, list_chats},
        contacts::{ContactFilter, PersonView, list_contacts},
        messages::{MessageFilter, MessageView, list_messages},
        search::{SearchHit, search},
    },
    keys::Caller,
    response::{ApiError, DataResponse, JsonResult, PageResponse, data_response},
};
use axum::extract::State;
use kurir_contract::address::ChatJid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which chats a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListChatsQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only chats of this session.
    session: Option<Field<Text<1, 64>>>,
}

/// The one with the newest message first.
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<ListChatsQuery>,
) -> JsonResult<PageResponse<ChatView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let session = text_value(errors.take_optional("session", query.session));
    errors.finish(|| Some(()))?;
    let filter = ChatFilter { visible: caller.visible(), session, chat: None };
    page_of(app.index.query(move |connection| list_chats(connection, &filter, &page)).await?)
}

/// The newest first.
pub async fn messages(
    State(app): State<AppState>,
    caller: Caller,
    id: PathId,
    QueryParams(query): QueryParams<ListChatsQuery>,
) -> JsonResult<PageResponse<MessageView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let session = text_value(errors.take_optional("session", query.session));
    errors.finish(|| Some(()))?;
    let filter = MessageFilter { visible: caller.visible(), session, chat: Some(id.0) };
    let is_first = page.before.is_none();
    let page = app.index.query(move |connection| list_messages(connection, &filter, &page)).await?;
    if page.rows.is_empty() && is_first {
        return Err(chat_not_found());
    }
    page_of(page)
}

/// What was erased.
#[derive(Serialize, JsonSchema)]
pub struct ErasureView {
    /// How many messages this index had.
    messages: u64,
}

/// Erases a chat, or what a person wrote anywhere, from every index; NATS itself keeps its events as long as before.
pub async fn erase(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<ErasureView>> {
    let chat: ChatJid = id.0.parse().map_err(|_| chat_not_found())?;
    Ok(data_response(ErasureView { messages: app.index.erase(chat.as_str()).await? }))
}

/// Which people a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListContactsQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only people of this session.
    session: Option<Field<Text<1, 64>>>,
    /// A part of the name or of the number.
    q: Option<Field<Text<1, 200>>>,
}

/// The one who wrote last first.
pub async fn contacts(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<ListContactsQuery>,
) -> JsonResult<PageResponse<PersonView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let session = text_value(errors.take_optional("session", query.session));
    let text = text_value(errors.take_optional("q", query.q));
    errors.finish(|| Some(()))?;
    let filter = ContactFilter { visible: caller.visible(), session, text };
    page_of(app.index.query(move |connection| list_contacts(connection, &filter, &page)).await?)
}

/// What is searched for.
#[derive(Deserialize, JsonSchema)]
pub struct SearchQuery {
    /// Words of a message, a part of a name or number, or an id.
    q: Field<Text<1, 200>>,
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only what is of this session.
    session: Option<Field<Text<1, 64>>>,
}

/// Ids and people on the first page, then messages, the newest first.
pub async fn find(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<SearchQuery>,
) -> JsonResult<PageResponse<SearchHit>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page: PageRequest = read_page(&mut errors, query.limit, query.after);
    let session = text_value(errors.take_optional("session", query.session));
    let text = text_value(errors.take("q", query.q));
    let text = errors.finish(|| text)?;
    let visible = caller.visible();
    let found = app.index.query(move |connection| search(connection, &text, session.as_deref(), &visible, &page));
    page_of(found.await?)
}

fn chat_not_found() -> ApiError {
    ApiError::new(ErrorCode::ChatNotFound, "Chat not found")
}
