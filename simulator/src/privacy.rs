//! An account's privacy settings: which there are, their values, and the people that are left out.
//! Promises WhatsApp's names. Who may see what is decided in `stanza`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::phone_number::PhoneNumber;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrivacyCategory {
    Last,
    Online,
    Profile,
    Status,
    GroupAdd,
    ReadReceipts,
    CallAdd,
    Messages,
    Defense,
    Stickers,
}

/// Of most categories, the first is in force at the beginning.
const WHO: [&str; 4] = ["all", "contacts", "contact_blacklist", "none"];

impl PrivacyCategory {
    pub const ALL: [Self; 10] = [
        Self::ReadReceipts,
        Self::Last,
        Self::Online,
        Self::Profile,
        Self::Status,
        Self::GroupAdd,
        Self::CallAdd,
        Self::Messages,
        Self::Defense,
        Self::Stickers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Online => "online",
            Self::Profile => "profile",
            Self::Status => "status",
            Self::GroupAdd => "groupadd",
            Self::ReadReceipts => "readreceipts",
            Self::CallAdd => "calladd",
            Self::Messages => "messages",
            Self::Defense => "defense",
            Self::Stickers => "stickers",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// The values that it takes; the first is in force at the beginning.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Self::Last | Self::Profile | Self::Status | Self::GroupAdd => &WHO,
            Self::Online => &["all", "match_last_seen"],
            Self::ReadReceipts => &["all", "none"],
            Self::CallAdd => &["all", "known", "contacts"],
            Self::Messages => &["all", "contacts"],
            Self::Defense => &["off", "on_standard"],
            Self::Stickers => &["contacts", "contact_allowlist", "none"],
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PrivacySettings {
    values: BTreeMap<PrivacyCategory, String>,
    /// Who is left out where the value is `contact_blacklist`.
    left_out: BTreeMap<PrivacyCategory, BTreeSet<PhoneNumber>>,
}

impl PrivacySettings {
    pub fn value(&self, category: PrivacyCategory) -> &str {
        self.values.get(&category).map_or(category.values()[0], String::as_str)
    }

    /// False if the category does not take this value.
    pub fn set(&mut self, category: PrivacyCategory, value: &str) -> bool {
        let is_known = category.values().contains(&value);
        if is_known {
            self.values.insert(category, value.to_owned());
        }
        is_known
    }

    pub fn left_out(&self, category: PrivacyCategory) -> impl Iterator<Item = &PhoneNumber> {
        self.left_out.get(&category).into_iter().flatten()
    }

    pub fn leave_out(&mut self, category: PrivacyCategory, number: PhoneNumber, is_left_out: bool) {
        let list = self.left_out.entry(category).or_default();
        if is_left_out {
            list.insert(number);
        } else {
            list.remove(&number);
        }
    }

    /// Whether somebody may, who is or is not a contact.
    pub fn allows(&self, category: PrivacyCategory, number: &PhoneNumber, is_contact: bool) -> bool {
        match self.value(category) {
            "none" => false,
            "contacts" | "known" => is_contact,
            "contact_blacklist" => is_contact && !self.left_out(category).any(|one| one == number),
            _ => true,
        }
    }
}

/// How long messages stay in chats that are begun with somebody, if not forever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultTimer {
    /// 0: forever.
    pub seconds: u32,
    /// Unix seconds of the last change.
    pub set: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_decides_who_is_let_in() {
        let number: PhoneNumber = "15550100001".parse().unwrap();
        let table = [
            ("all", false, false, true),
            ("contacts", false, false, false),
            ("contacts", true, false, true),
            ("contact_blacklist", true, false, true),
            ("contact_blacklist", true, true, false),
            ("none", true, false, false),
        ];
        for (value, is_contact, is_left_out, wanted) in table {
            let mut settings = PrivacySettings::default();
            assert!(settings.set(PrivacyCategory::Profile, value));
            settings.leave_out(PrivacyCategory::Profile, number.clone(), is_left_out);
            let allowed = settings.allows(PrivacyCategory::Profile, &number, is_contact);
            assert_eq!(allowed, wanted, "{value} {is_contact} {is_left_out}");
        }
    }

    #[test]
    fn a_value_that_is_none_is_refused() {
        let mut settings = PrivacySettings::default();
        assert!(!settings.set(PrivacyCategory::Messages, "none"));
        assert_eq!(settings.value(PrivacyCategory::Messages), "all");
        assert_eq!(settings.value(PrivacyCategory::Defense), "off");
    }
}
