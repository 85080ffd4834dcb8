//! Deliberate faults: which stanzas meet which fault, how often and for how long.
//! Only decides; the chapters that read and write stanzas ask here and act.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::groups;

/// Faults in force at once.
pub const MAX_FAULTS: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// From a client: done, but never acknowledged.
    SwallowAck,
    /// From a client: not done, and refused with `code`.
    Nack,
    /// From a client: as if it had never come (an IQ stays unanswered). To a client: not written
    /// on this connection.
    Lose,
    /// From a client: acknowledged `delayMs` later. To a client: written so much later.
    Delay,
    /// To a client: written twice.
    Duplicate,
    /// To a client: the next stanza to it goes first.
    Reorder,
    /// To a client: the ciphertext is damaged.
    Corrupt,
    /// The connection stays open, nothing is answered and nothing written.
    Silence,
    /// The same, but pings are answered.
    HalfDeaf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TrafficDirection {
    FromClient,
    ToClient,
}

/// Which stanzas: every field given must fit. Contacts and accounts by number.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StanzaPattern {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<TrafficDirection>,
    /// `message`, `receipt`, `iq`, `ack`, `notification`, …; without it `message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stanza: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The stanza's `type` attribute (`text`, `media`, `read`, …).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace of an IQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xmlns: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    pub kind: FaultKind,
    #[serde(default, rename = "match")]
    pub pattern: StanzaPattern,
    /// How many stanzas it meets; without it, every one until it is taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How long it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The number of a nack (479 if not given).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

/// A stanza as the patterns see it.
#[derive(Debug, Default)]
pub struct StanzaFacts<'a> {
    pub stanza: &'a str,
    pub id: Option<&'a str>,
    pub contact: Option<&'a str>,
    pub account: &'a str,
    pub device: u16,
    pub group: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub xmlns: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFault {
    pub id: u64,
    #[serde(flatten)]
    pub fault: FaultRule,
    /// How many stanzas it met.
    pub met: u32,
    #[serde(skip)]
    until: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct FaultTable {
    active: Vec<ActiveFault>,
    next: u64,
}

impl FaultTable {
    pub fn add(&mut self, fault: FaultRule) -> u64 {
        self.next += 1;
        self.active.push(ActiveFault {
            id: self.next,
            until: fault.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            fault,
            met: 0,
        });
        self.next
    }

    pub fn iter(&self) -> impl Iterator<Item = &ActiveFault> {
        self.active.iter()
    }

    pub fn len(&self) -> usize {
        self.active.len()
    }

    pub fn clear(&mut self) {
        self.active.clear();
    }

    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() < before
    }

    /// The fault that this stanza meets, counted. The first that fits wins.
    pub fn meet(&mut self, direction: TrafficDirection, seen: &StanzaFacts<'_>) -> Option<FaultRule> {
        if self.active.is_empty() {
            return None;
        }
        let now = Instant::now();
        let active = self.active.iter_mut().find(|active| {
            !active.fault.kind.is_hush()
                && active.in_force(now)
                && active.fault.applies(direction)
                && active.fault.pattern.fits(seen)
        })?;
        active.met += 1;
        Some(active.fault.clone())
    }

    /// Whether this companion's connection is to stay silent, and how: [`FaultKind::Silence`] or [`FaultKind::HalfDeaf`].
    pub fn hush(&self, account: &str, device: u16) -> Option<FaultKind> {
        let now = Instant::now();
        let hushed = self.active.iter().find(|active| {
            let pattern = &active.fault.pattern;
            active.fault.kind.is_hush()
                && active.in_force(now)
                && pattern.account.as_deref().is_none_or(|wanted| wanted == account)
                && pattern.device.is_none_or(|wanted| wanted == device)
        });
        hushed.map(|active| active.fault.kind)
    }
}

impl FaultKind {
    /// Of a whole connection rather than of a stanza.
    pub fn is_hush(self) -> bool {
        matches!(self, Self::Silence | Self::HalfDeaf)
    }
}

impl ActiveFault {
    fn in_force(&self, now: Instant) -> bool {
        self.fault.times.is_none_or(|times| self.met < times) && self.until.is_none_or(|until| now < until)
    }
}

impl FaultRule {
    fn applies(&self, direction: TrafficDirection) -> bool {
        let own = match self.kind {
            FaultKind::SwallowAck | FaultKind::Nack => Some(TrafficDirection::FromClient),
            FaultKind::Duplicate | FaultKind::Reorder | FaultKind::Corrupt => Some(TrafficDirection::ToClient),
            FaultKind::Lose | FaultKind::Delay | FaultKind::Silence | FaultKind::HalfDeaf => None,
        };
        own.is_none_or(|own| own == direction) && self.pattern.direction.is_none_or(|wanted| wanted == direction)
    }
}

impl StanzaPattern {
    fn fits(&self, seen: &StanzaFacts<'_>) -> bool {
        let fits =
            |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == is);
        self.stanza.as_deref().unwrap_or("message") == seen.stanza
            && fits(&self.id, seen.id)
            && fits(&self.contact, seen.contact)
            && fits(&self.account, Some(seen.account))
            && self.device.is_none_or(|wanted| wanted == seen.device)
            && fits(&self.group.as_deref().map(groups::whole), seen.group)
            && fits(&self.kind, seen.kind)
            && fits(&self.xmlns, seen.xmlns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(contact: &'a str) -> StanzaFacts<'a> {
        StanzaFacts {
            stanza: "message",
            contact: Some(contact),
            account: "15550100001",
            device: 1,
            ..StanzaFacts::default()
        }
    }

    #[test]
    fn a_fault_meets_what_fits_and_as_often_as_told() {
        let mut faults = FaultTable::default();
        let fault = serde_json::json!({"kind": "nack", "match": {"contact": "111"}, "times": 1});
        faults.add(serde_json::from_value(fault).unwrap());
        assert!(faults.meet(TrafficDirection::ToClient, &seen("111")).is_none());
        assert!(faults.meet(TrafficDirection::FromClient, &seen("222")).is_none());
        assert!(faults.meet(TrafficDirection::FromClient, &seen("111")).is_some());
        assert!(faults.meet(TrafficDirection::FromClient, &seen("111")).is_none());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let fault = serde_json::json!({"kind": "nack", "match": {"contat": "111"}});
        assert!(serde_json::from_value::<FaultRule>(fault).is_err());
    }
}
