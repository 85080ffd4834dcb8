//! Privacy tokens: those that a person has given to its contacts, those that it demands of strangers, and the salt from
//! which an account makes its proof for contacts that gave it no token. Promises WhatsApp's form and lifetimes. The
//! notifications and refusals are in `stanza`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wacore::iq::tctoken::{compute_cs_token, is_tc_token_expired_with_at, should_send_new_tc_token_with_at};

use crate::{phone_number::PhoneNumber, randomness::random};

const TOKEN_BYTES: usize = 11;
const SALT_BYTES: usize = 32;

/// What somebody gave to another, who shows it to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyToken {
    pub bytes: Vec<u8>,
    /// Unix seconds, as who gave it said.
    pub issued: i64,
}

/// The two proofs that a message to somebody can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A token that the receiver gave.
    TcToken,
    /// A hash over the receiver's LID, keyed with the sender's salt.
    CsToken,
}

/// How the phone tells its companions the salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaltDelivery {
    /// In the first part of the history, at pairing.
    History,
    /// As a setting that all devices share.
    AppState,
    /// The companions never learn it.
    None,
}

/// The secret behind an account's `cstoken`s.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NctSalt {
    pub bytes: Vec<u8>,
    pub delivery: SaltDelivery,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PrivacyTokens {
    /// By whom it was given to: the newest one, and the one before it, which may be on its way still.
    given: BTreeMap<PhoneNumber, (PrivacyToken, Option<PrivacyToken>)>,
    /// The kinds of token of which a stranger must show one. None: everybody may write; empty: no stranger may.
    demanded: Option<BTreeSet<TokenKind>>,
    salt: Option<NctSalt>,
}

impl PrivacyTokens {
    pub fn given_to(&self, receiver: &PhoneNumber) -> Option<&PrivacyToken> {
        self.given.get(receiver).map(|(newest, _)| newest)
    }

    /// A new token for `receiver`. The one before it stays good.
    pub fn give(&mut self, receiver: PhoneNumber, issued: i64) -> PrivacyToken {
        let bytes = random::<[u8; TOKEN_BYTES]>().to_vec();
        let token = PrivacyToken { bytes, issued };
        let before = self.given.remove(&receiver).map(|(newest, _)| newest);
        self.given.insert(receiver, (token.clone(), before));
        token
    }

    /// Whether it is time for another token: phones give one a week.
    pub fn is_due(&self, receiver: &PhoneNumber, now: i64) -> bool {
        should_send_new_tc_token_with_at(self.given_to(receiver).map(|token| token.issued), &Default::default(), now)
    }

    /// One of these is demanded of strangers; none if everybody may write.
    pub fn demanded(&self) -> Option<&BTreeSet<TokenKind>> {
        self.demanded.as_ref()
    }

    pub fn demand(&mut self, kinds: Option<BTreeSet<TokenKind>>) {
        self.demanded = kinds;
    }

    pub fn is_restricted(&self) -> bool {
        self.demanded.is_some()
    }

    fn demands(&self, kind: TokenKind) -> bool {
        self.demanded.as_ref().is_some_and(|kinds| kinds.contains(&kind))
    }

    /// Whether a message with this token is let in.
    pub fn opens_with_token(&self, shown_by: &PhoneNumber, shown: &[u8], now: i64) -> bool {
        self.demands(TokenKind::TcToken) && self.is_token_of(shown_by, shown, now)
    }

    /// Whether a token that `shown_by` shows is one that it was given, and still good: it lasts for four weeks.
    pub fn is_token_of(&self, shown_by: &PhoneNumber, shown: &[u8], now: i64) -> bool {
        let given =
            self.given.get(shown_by).into_iter().flat_map(|(newest, before)| Some(newest).into_iter().chain(before));
        let is_good = |token: &PrivacyToken| {
            token.bytes == shown && !is_tc_token_expired_with_at(token.issued, &Default::default(), now)
        };
        given.into_iter().any(is_good)
    }

    /// Whether what a stranger computed from its salt is right. `lid`: the address of who is written to.
    pub fn opens_with_proof(&self, stranger: &Self, lid: &str, shown: &[u8]) -> bool {
        let salt = stranger.salt.as_ref();
        self.demands(TokenKind::CsToken) && salt.is_some_and(|salt| compute_cs_token(&salt.bytes, lid) == shown)
    }

    pub fn salt(&self) -> Option<&NctSalt> {
        self.salt.as_ref()
    }

    /// Makes a new salt, or takes it away.
    pub fn set_salt(&mut self, delivery: Option<SaltDelivery>) {
        self.salt = delivery.map(|delivery| NctSalt { bytes: random::<[u8; SALT_BYTES]>().to_vec(), delivery });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: i64 = 604_800;

    #[test]
    fn a_token_opens_for_whom_it_was_given_to_and_for_four_weeks() {
        let (anna, ben): (PhoneNumber, PhoneNumber) = ("15550200001".parse().unwrap(), "15550200002".parse().unwrap());
        let mut tokens = PrivacyTokens::default();
        let begin = 100 * WEEK;
        let token = tokens.give(anna.clone(), begin);
        assert!(!tokens.opens_with_token(&anna, &token.bytes, begin), "nothing is demanded, so nothing opens");
        tokens.demand(Some(BTreeSet::from([TokenKind::TcToken])));
        let opens =
            |tokens: &PrivacyTokens, who: &PhoneNumber, shown: &[u8], at| tokens.opens_with_token(who, shown, at);
        let table = [
            ("its owner", &anna, token.bytes.as_slice(), begin, true),
            ("its owner, in the fourth week", &anna, &token.bytes, begin + 4 * WEEK - 1, true),
            ("its owner, too late", &anna, &token.bytes, begin + 4 * WEEK, false),
            ("somebody else", &ben, &token.bytes, begin, false),
            ("another token", &anna, b"another one", begin, false),
        ];
        for (name, who, shown, at, wanted) in table {
            assert_eq!(opens(&tokens, who, shown, at), wanted, "{name}");
        }
        assert!(!tokens.is_due(&anna, begin) && tokens.is_due(&anna, begin + WEEK) && tokens.is_due(&ben, begin));
        let next = tokens.give(anna.clone(), begin + WEEK);
        let both = [&token, &next].map(|one| opens(&tokens, &anna, &one.bytes, begin + WEEK));
        assert_eq!(both, [true, true], "the one before may be on its way");
        tokens.give(anna.clone(), begin + 2 * WEEK);
        assert!(!opens(&tokens, &anna, &token.bytes, begin + 2 * WEEK));
    }

    #[test]
    fn a_proof_is_made_from_the_own_salt_for_one_address() {
        let (mut stranger, mut owner) = (PrivacyTokens::default(), PrivacyTokens::default());
        stranger.set_salt(Some(SaltDelivery::History));
        let proof = compute_cs_token(&stranger.salt().unwrap().bytes, "1@lid");
        assert!(!owner.opens_with_proof(&stranger, "1@lid", &proof), "it is not asked for");
        owner.demand(Some(BTreeSet::from([TokenKind::CsToken])));
        assert!(owner.opens_with_proof(&stranger, "1@lid", &proof));
        assert!(!owner.opens_with_proof(&stranger, "2@lid", &proof));
        stranger.set_salt(None);
        assert!(!owner.opens_with_proof(&stranger, "1@lid", &proof), "the salt is gone");
    }
}
