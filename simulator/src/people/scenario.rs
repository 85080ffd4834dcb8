//! What a client asks for by its push name, where its tests cannot reach the control API: `restricted:<name>` and
//! `scenario:<flag>,<flag>:<name>`. Promises that any other name means nothing. It is read once, when the account begins.

use std::collections::BTreeSet;

use wacore::iq::abprops::web;

use super::{AbProperties, PrivacyTokens, SaltDelivery, TokenKind};

/// How an account begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scenario<'a> {
    flags: Vec<(&'a str, bool)>,
}

impl<'a> Scenario<'a> {
    fn of(push_name: &'a str) -> Self {
        if push_name.starts_with("restricted:") {
            return Self { flags: vec![("restricted", true)] };
        }
        let list = push_name.strip_prefix("scenario:").and_then(|rest| rest.split_once(':'));
        let flags = list.into_iter().flat_map(|(flags, _)| flags.split(','));
        Self {
            flags: flags
                .map(|flag| match flag.split_once('=') {
                    Some((name, value)) => (name, value != "0"),
                    None => (flag, true),
                })
                .collect(),
        }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.flags.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn is_on(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }
}

/// Applies what the push name says to an account that begins.
pub fn apply(push_name: &str, tokens: &mut PrivacyTokens, properties: &mut AbProperties) {
    let scenario = Scenario::of(push_name);
    if scenario.is_on("restricted") {
        let kinds = [("tc_enabled", TokenKind::TcToken), ("cs_enabled", TokenKind::CsToken)];
        let demanded = kinds.into_iter().filter(|(flag, _)| scenario.flag(flag) != Some(false));
        tokens.demand(Some(demanded.map(|(_, kind)| kind).collect::<BTreeSet<_>>()));
    }
    let switches = [
        ("nct_send_ab", web::WA_NCT_TOKEN_SEND_ENABLED),
        ("nct_history_ab", web::WA_NCT_TOKEN_HISTORY_SYNC_ENABLED),
        ("nct_syncd_ab", web::WA_NCT_TOKEN_SYNCD_ENABLED),
    ];
    for (_, property) in switches.into_iter().filter(|(flag, _)| scenario.is_on(flag)) {
        properties.switch_on(property);
    }
    if scenario.is_on("nct_history_delivery") {
        tokens.set_salt(Some(SaltDelivery::History));
    } else if scenario.is_on("nct_syncd_delivery") {
        tokens.set_salt(Some(SaltDelivery::AppState));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_name_says_how_its_account_begins() {
        let both = BTreeSet::from([TokenKind::TcToken, TokenKind::CsToken]);
        let table = [
            ("Anna", None, None, 1),
            ("scenario: of a film", None, None, 1),
            ("restricted:Anna", Some(both), None, 1),
            ("scenario:restricted,tc_enabled=0,cs_enabled=1:Anna", Some(BTreeSet::from([TokenKind::CsToken])), None, 1),
            ("scenario:restricted,tc_enabled=0,cs_enabled=0:Anna", Some(BTreeSet::new()), None, 1),
            ("scenario:nct_send_ab=1,nct_history_ab=1,nct_history_delivery=1:A", None, Some(SaltDelivery::History), 3),
            (
                "scenario:nct_send_ab=1,nct_syncd_delivery=1,nct_history_delivery=0:A",
                None,
                Some(SaltDelivery::AppState),
                2,
            ),
        ];
        for (name, demanded, delivery, switched) in table {
            let (mut tokens, mut properties) = (PrivacyTokens::default(), AbProperties::default());
            apply(name, &mut tokens, &mut properties);
            assert_eq!(tokens.demanded().cloned(), demanded, "{name}");
            assert_eq!(tokens.salt().map(|salt| salt.delivery), delivery, "{name}");
            assert_eq!(properties.iter().count(), switched, "{name}");
        }
    }
}
