//! Settings by name, as the control API takes them, and where WhatsApp stores each.

use buffa::MessageField;
use schemars::JsonSchema;
use serde::Deserialize;
use waproto::whatsapp::{
    SyncActionValue,
    sync_action_value::{
        ArchiveChatAction, ContactAction, LabelAssociationAction, LabelEditAction, MarkChatAsReadAction, MuteAction,
        NctSaltSyncAction, PinAction, PushNameSetting, StarAction,
    },
};

/// A change of a setting, in the form in which it is stored.
#[derive(Debug, Clone)]
pub struct NewSetting {
    pub collection: String,
    pub index: Vec<String>,
    /// Of the action, not of the collection.
    pub version: i32,
    pub value: SyncActionValue,
    pub is_removed: bool,
}

/// A setting that the phone changes. Chats and people are addresses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "setting", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum SettingIndex {
    PushName {
        name: String,
    },
    Contact {
        chat: String,
        name: String,
        first_name: Option<String>,
    },
    Mute {
        chat: String,
        on: bool,
        until_ms: Option<i64>,
    },
    Archive {
        chat: String,
        on: bool,
    },
    Pin {
        chat: String,
        on: bool,
    },
    Read {
        chat: String,
        on: bool,
    },
    Star {
        chat: String,
        id: String,
        on: bool,
        #[serde(default)]
        from_me: bool,
        author: Option<String>,
    },
    Label {
        label: String,
        name: String,
        color: Option<i32>,
        #[serde(default)]
        deleted: bool,
    },
    LabelChat {
        label: String,
        chat: String,
        on: bool,
    },
    /// Of the account's proofs. It is written by `/accounts/{number}/nct-salt`, which keeps it as well.
    #[serde(skip)]
    NctSalt {
        salt: Vec<u8>,
    },
}

impl From<SettingIndex> for NewSetting {
    fn from(setting: SettingIndex) -> Self {
        let mut value = SyncActionValue::default();
        let (collection, version, index) = match setting {
            SettingIndex::PushName { name } => {
                value.push_name_setting = MessageField::some(PushNameSetting { name: Some(name) });
                ("critical_block", 1, vec!["setting_pushName".to_owned()])
            }
            SettingIndex::Contact { chat, name, first_name } => {
                value.contact_action = MessageField::some(ContactAction {
                    full_name: Some(name),
                    first_name,
                    save_on_primary_addressbook: Some(true),
                    ..Default::default()
                });
                ("critical_unblock_low", 2, vec!["contact".to_owned(), chat])
            }
            SettingIndex::Mute { chat, on, until_ms } => {
                let end = on.then_some(until_ms.unwrap_or(-1));
                value.mute_action =
                    MessageField::some(MuteAction { muted: Some(on), mute_end_timestamp: end, ..Default::default() });
                ("regular_high", 2, vec!["mute".to_owned(), chat])
            }
            SettingIndex::Archive { chat, on } => {
                value.archive_chat_action =
                    MessageField::some(ArchiveChatAction { archived: Some(on), ..Default::default() });
                ("regular_low", 3, vec!["archive".to_owned(), chat])
            }
            SettingIndex::Pin { chat, on } => {
                value.pin_action = MessageField::some(PinAction { pinned: Some(on) });
                ("regular_low", 5, vec!["pin_v1".to_owned(), chat])
            }
            SettingIndex::Read { chat, on } => {
                value.mark_chat_as_read_action =
                    MessageField::some(MarkChatAsReadAction { read: Some(on), ..Default::default() });
                ("regular_low", 3, vec!["markChatAsRead".to_owned(), chat])
            }
            SettingIndex::Star { chat, id, on, from_me, author } => {
                value.star_action = MessageField::some(StarAction { starred: Some(on) });
                let from_me = if from_me { "1" } else { "0" }.to_owned();
                let author = author.unwrap_or_else(|| "0".to_owned());
                ("regular_high", 2, vec!["star".to_owned(), chat, id, from_me, author])
            }
            SettingIndex::Label { label, name, color, deleted } => {
                value.label_edit_action = MessageField::some(LabelEditAction {
                    name: Some(name),
                    color,
                    deleted: Some(deleted),
                    ..Default::default()
                });
                ("regular", 3, vec!["label_edit".to_owned(), label])
            }
            SettingIndex::LabelChat { label, chat, on } => {
                value.label_association_action =
                    MessageField::some(LabelAssociationAction { labeled: Some(on), ..Default::default() });
                ("regular", 3, vec!["label_jid".to_owned(), label, chat])
            }
            SettingIndex::NctSalt { salt } => {
                value.nct_salt_sync_action = MessageField::some(NctSaltSyncAction { salt: Some(salt) });
                ("regular_high", 1, vec!["nct_salt_sync".to_owned()])
            }
        };
        Self { collection: collection.to_owned(), index, version, value, is_removed: false }
    }
}
