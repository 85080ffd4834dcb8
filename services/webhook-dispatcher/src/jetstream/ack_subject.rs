//! The subject by which a message is acknowledged: where NATS says what the message is.

/// What NATS writes into the subject by which a message is acknowledged (ADR-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    pub consumer: &'a str,
    pub sequence: u64,
    /// When the stream stored it, nanoseconds since 1970.
    pub stored_at: i64,
    /// How often the message was handed out, this time included.
    pub times: u64,
    /// Counts what the consumer hands out.
    pub handout: u64,
}

impl<'a> AckSubject<'a> {
    /// `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<consumer sequence>.<stored at>.<pending>`, or the same with
    /// domain and account in front and more behind. None if it is neither.
    #[must_use]
    pub fn read(reply: &'a str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        let skipped = if tokens.bytes().filter(|byte| *byte == b'.').count() == 6 { 1 } else { 3 };
        let mut tokens = tokens.split('.').skip(skipped);
        let consumer = tokens.next()?;
        let times = tokens.next()?.parse().ok()?;
        let sequence = tokens.next()?.parse().ok()?;
        let handout = tokens.next()?.parse().ok()?;
        let stored_at = tokens.next()?.parse().ok()?;
        Some(Self { consumer, sequence, stored_at, times, handout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nats_says_of_a_message_is_read_in_both_of_its_forms() {
        let handed =
            Some(AckSubject { consumer: "webhook-default", sequence: 42, stored_at: 1_700, times: 3, handout: 7 });
        for (reply, expected) in [
            ("$JS.ACK.EVENTS.webhook-default.3.42.7.1700.5", handed),
            ("$JS.ACK.hub.hash.EVENTS.webhook-default.3.42.7.1700.5", handed),
            ("$JS.ACK._.hash.EVENTS.webhook-default.3.42.7.1700.5.token", handed),
            ("$JS.ACK.EVENTS.webhook-default.3.42", None),
            ("_INBOX.abc", None),
            ("", None),
        ] {
            assert_eq!(AckSubject::read(reply), expected, "{reply}");
        }
    }
}
