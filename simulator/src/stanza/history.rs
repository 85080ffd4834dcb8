//! The past, as an account's phone tells its companions: in the parts and in the order in which phones send it at the
//! first login, and what a companion asks for later. Initial parts come inside the message to clients that said that they
//! read them there; everything else is uploaded, and the message has its key.

use anyhow::Result;
use buffa::{Message as _, MessageField};
use wacore::{download::MediaType, upload::encrypt_media};
use waproto::whatsapp::{
    Conversation, GlobalSettings, HistorySync, PhoneNumberToLIDMapping, Pushname, WebMessageInfo,
    history_sync::HistorySyncType as SyncType,
    message::{
        HistorySyncNotification, HistorySyncType, PeerDataOperationRequestResponseMessage,
        PeerDataOperationRequestType, ProtocolMessage,
        peer_data_operation_request_message::HistorySyncOnDemandRequest,
        peer_data_operation_request_response_message::{
            PeerDataOperationResult, peer_data_operation_result::PlaceholderMessageResendResponse,
        },
        protocol_message,
    },
};

use super::past::{PastMessage, conversation};
use crate::{people::SaltDelivery, phone_number::PhoneNumber, state::ServerState};

/// Messages of one chat that a phone sends at the first login.
const RECENT_MESSAGES: usize = 50;
/// Larger parts are uploaded whatever the client reads.
const MAX_INLINE: usize = 64 * 1024;

/// One part of the history.
#[derive(Clone, Copy)]
struct HistoryPart<'a> {
    kind: SyncType,
    notified_kind: HistorySyncType,
    order: u32,
    progress: Option<u32>,
    /// The id of the request that it answers.
    request: Option<&'a str>,
}

impl HistoryPart<'_> {
    fn initial(kind: SyncType, notified_kind: HistorySyncType, order: u32, progress: u32) -> Self {
        Self { kind, notified_kind, order, progress: Some(progress), request: None }
    }

    fn may_be_inline(self) -> bool {
        matches!(self.kind, SyncType::INITIAL_BOOTSTRAP | SyncType::PUSH_NAME | SyncType::NON_BLOCKING_DATA)
    }
}

impl ServerState {
    /// Everything that a phone sends to a new companion: what the chat list needs, names, settings, recent messages.
    pub(super) fn send_first_history(&mut self, number: &PhoneNumber, device: u16) -> Result<()> {
        let past = self.past_of(number);
        let newest = past.iter().map(|(chat, messages)| {
            let newest = messages.last().cloned().into_iter().collect();
            self.with_token(number, conversation(chat, newest))
        });
        let mappings: Vec<PhoneNumberToLIDMapping> = past
            .keys()
            .filter_map(|chat| self.people.number_of(&chat.parse().ok()?))
            .chain(std::iter::once(number.clone()))
            .map(|number| PhoneNumberToLIDMapping {
                pn_jid: Some(number.jid(0).to_string()),
                lid_jid: Some(number.lid_jid(0).to_string()),
            })
            .collect();
        let settings = GlobalSettings {
            chat_db_lid_migration_timestamp: self.lid_migrated.then(|| self.now()),
            ..Default::default()
        };
        let bootstrap = HistorySync {
            conversations: newest.collect(),
            phone_number_to_lid_mappings: mappings,
            global_settings: MessageField::some(settings),
            nct_salt: self
                .people
                .get(number)
                .and_then(|person| person.tokens.salt())
                .and_then(|salt| (salt.delivery == SaltDelivery::History).then(|| salt.bytes.clone())),
            ..Default::default()
        };
        let part = HistoryPart::initial(SyncType::INITIAL_BOOTSTRAP, HistorySyncType::INITIAL_BOOTSTRAP, 1, 0);
        self.send_history_part(number, device, part, bootstrap)?;

        let names = HistorySync { pushnames: self.names_for(number, past.keys()), ..Default::default() };
        let part = HistoryPart::initial(SyncType::PUSH_NAME, HistorySyncType::PUSH_NAME, 1, 100);
        self.send_history_part(number, device, part, names)?;
        let part = HistoryPart::initial(SyncType::NON_BLOCKING_DATA, HistorySyncType::NON_BLOCKING_DATA, 1, 100);
        self.send_history_part(number, device, part, HistorySync::default())?;
        if past.is_empty() {
            return Ok(());
        }
        let recent = past.iter().map(|(chat, messages)| {
            let skipped = messages.len().saturating_sub(RECENT_MESSAGES);
            conversation(chat, messages.iter().skip(skipped).cloned().collect())
        });
        self.send_recent(number, device, recent.collect(), Some(100))
    }

    /// A chat with the token that the other side gave.
    fn with_token(&self, number: &PhoneNumber, chat: Conversation) -> Conversation {
        let other = chat.id.parse().ok().and_then(|jid| self.people.number_of(&jid));
        let token = other.and_then(|other| self.people.get(&other)?.tokens.given_to(number).cloned());
        let Some(token) = token else { return chat };
        Conversation { tc_token: Some(token.bytes), tc_token_timestamp: u64::try_from(token.issued).ok(), ..chat }
    }

    fn names_for<'a>(&self, number: &PhoneNumber, chats: impl Iterator<Item = &'a String>) -> Vec<Pushname> {
        let contacts = chats.filter_map(|chat| self.people.number_of(&chat.parse().ok()?));
        contacts
            .chain(std::iter::once(number.clone()))
            .filter_map(|number| self.people.get(&number))
            .map(|person| Pushname {
                id: Some(person.number.jid(0).to_string()),
                pushname: Some(person.push_name.clone()),
            })
            .collect()
    }

    /// The account's phone tells its companions of an earlier chat with a contact.
    pub fn tell_of_the_past(
        &mut self,
        number: &PhoneNumber,
        contact: &PhoneNumber,
        messages: &[PastMessage],
        progress: Option<u32>,
    ) -> Result<(), String> {
        let chat = contact.jid(0).to_string();
        let messages: Vec<WebMessageInfo> =
            messages.iter().map(|past| past.in_chat(&chat)).collect::<Result<_, _>>()?;
        let chat = conversation(&chat, messages);
        for device in self.devices_of(number) {
            let sent = self.send_recent(number, device, vec![chat.clone()], progress);
            sent.map_err(|error| format!("{error:#}"))?;
        }
        Ok(())
    }

    fn send_recent(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        conversations: Vec<Conversation>,
        progress: Option<u32>,
    ) -> Result<()> {
        let part = HistoryPart {
            kind: SyncType::RECENT,
            notified_kind: HistorySyncType::RECENT,
            order: 1,
            progress,
            request: None,
        };
        self.send_history_part(number, device, part, HistorySync { conversations, ..Default::default() })
    }

    /// What a companion asks of a chat: messages that are older than the oldest which it has.
    pub(super) fn send_older_messages(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        request: &str,
        wanted: &HistorySyncOnDemandRequest,
    ) -> Result<()> {
        let asked = wanted.chat_jid.clone().unwrap_or_default();
        // By number or by LID: the phone keeps one chat.
        let chat = asked.parse().ok().and_then(|jid| self.people.number_of(&jid));
        let chat = chat.map_or(asked, |number| number.jid(0).to_string());
        let messages = self.past_of(number).remove(&chat).unwrap_or_default();
        let id = |message: &WebMessageInfo| message.key.as_option().and_then(|key| key.id.clone());
        let until = messages.iter().position(|message| id(message) == wanted.oldest_msg_id).unwrap_or_else(|| {
            let oldest = wanted.oldest_msg_timestamp_ms.and_then(|ms| u64::try_from(ms / 1_000).ok());
            messages.iter().take_while(|message| oldest.is_none_or(|at| message.message_timestamp < Some(at))).count()
        });
        let most = wanted.on_demand_msg_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(RECENT_MESSAGES);
        let from = until.saturating_sub(most);
        let older = messages.into_iter().take(until).skip(from).collect();
        let history = HistorySync { conversations: vec![conversation(&chat, older)], ..Default::default() };
        let part = HistoryPart {
            kind: SyncType::ON_DEMAND,
            notified_kind: HistorySyncType::ON_DEMAND,
            order: 0,
            progress: None,
            request: Some(request),
        };
        self.send_history_part(number, device, part, history)
    }

    fn send_history_part(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        part: HistoryPart<'_>,
        history: HistorySync,
    ) -> Result<()> {
        let history =
            HistorySync { sync_type: part.kind, chunk_order: Some(part.order), progress: part.progress, ..history };
        let history = deflated(&history.encode_to_vec())?;
        let reads_inline = self.people.companion(number, device).is_some_and(|companion| companion.keys.inline_history);
        let mut told = HistorySyncNotification {
            file_length: Some(history.len() as u64),
            sync_type: Some(part.notified_kind),
            chunk_order: Some(part.order),
            progress: part.progress,
            peer_data_request_session_id: part.request.map(str::to_owned),
            ..Default::default()
        };
        if part.may_be_inline() && reads_inline && history.len() <= MAX_INLINE {
            told.initial_hist_bootstrap_inline_payload = Some(history);
        } else {
            let sealed = encrypt_media(&history, MediaType::History)?;
            told.direct_path = Some(self.media.put("md-msg-hist", sealed.data_to_upload.into()));
            told.media_key = Some(sealed.media_key.to_vec());
            told.file_sha256 = Some(sealed.file_sha256.to_vec());
            told.file_enc_sha256 = Some(sealed.file_enc_sha256.to_vec());
        }
        let notification = ProtocolMessage {
            r#type: Some(protocol_message::Type::HISTORY_SYNC_NOTIFICATION),
            history_sync_notification: MessageField::some(told),
            ..Default::default()
        };
        self.tell_companion(number, device, notification)
    }

    /// What companions could not read of a contact's messages, they get from the phone, which could.
    pub fn recover(
        &mut self,
        number: &PhoneNumber,
        contact: &PhoneNumber,
        message: &PastMessage,
    ) -> Result<(), String> {
        let info = message.in_chat(&contact.jid(0).to_string())?;
        for device in self.devices_of(number) {
            let sent = self.hand_out_messages(number, device, None, vec![Some(info.clone())]);
            sent.map_err(|error| format!("{error:#}"))?;
        }
        Ok(())
    }

    /// One result for each message that was asked for, empty for one that the phone has not either.
    pub(super) fn hand_out_messages(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        request: Option<&str>,
        messages: Vec<Option<WebMessageInfo>>,
    ) -> Result<()> {
        let results = messages.into_iter().map(|message| {
            let again = message
                .map(|info| PlaceholderMessageResendResponse { web_message_info_bytes: Some(info.encode_to_vec()) });
            PeerDataOperationResult {
                placeholder_message_resend_response: again.map(MessageField::some).unwrap_or_default(),
                ..Default::default()
            }
        });
        let response = PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: Some(PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND),
            stanza_id: request.map(str::to_owned),
            peer_data_operation_result: results.collect(),
        };
        let answer = ProtocolMessage {
            r#type: Some(protocol_message::Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
            peer_data_operation_request_response_message: MessageField::some(response),
            ..Default::default()
        };
        self.tell_companion(number, device, answer)
    }
}

fn deflated(history: &[u8]) -> Result<Vec<u8>> {
    let mut deflated = vec![0; zlib_rs::compress_bound(history.len())];
    let (written, code) = zlib_rs::compress_slice(&mut deflated, history, zlib_rs::DeflateConfig::default());
    anyhow::ensure!(code == zlib_rs::ReturnCode::Ok, "deflating the history failed: {code:?}");
    Ok(written.to_vec())
}
