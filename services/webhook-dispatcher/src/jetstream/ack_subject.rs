//! The subject by which a message is acknowledged: NATS describes the message in it.

/// The parts of the subject by which a message is acknowledged (ADR-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    pub consumer: &'a str,
    pub sequence: u64,
    /// When the stream stored the message, in nanoseconds since 1970.
    pub stored_at: i64,
    /// How often the message was handed out, this time included.
    pub deliveries: u64,
    /// The position among all messages that the consumer has handed out.
    pub consumer_sequence: u64,
}

impl<'a> AckSubject<'a> {
    /// Parses `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<stored at>.<pending>`, or the
    /// longer form with domain and account before the stream and a token at the end. None if it is neither.
    #[must_use]
    pub fn parse(reply: &'a str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        let skipped = if tokens.bytes().filter(|byte| *byte == b'.').count() == 6 { 1 } else { 3 };
        let mut tokens = tokens.split('.').skip(skipped);
        let consumer = tokens.next()?;
        let deliveries = tokens.next()?.parse().ok()?;
        let sequence = tokens.next()?.parse().ok()?;
        let consumer_sequence = tokens.next()?.parse().ok()?;
        let stored_at = tokens.next()?.parse().ok()?;
        Some(Self { consumer, sequence, stored_at, deliveries, consumer_sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nats_says_of_a_message_is_read_in_both_of_its_forms() {
        let expected_subject = Some(AckSubject {
            consumer: "webhook-default",
            sequence: 42,
            stored_at: 1_700,
            deliveries: 3,
            consumer_sequence: 7,
        });
        for (reply, expected) in [
            ("$JS.ACK.EVENTS.webhook-default.3.42.7.1700.5", expected_subject),
            ("$JS.ACK.hub.hash.EVENTS.webhook-default.3.42.7.1700.5", expected_subject),
            ("$JS.ACK._.hash.EVENTS.webhook-default.3.42.7.1700.5.token", expected_subject),
            ("$JS.ACK.EVENTS.webhook-default.3.42", None),
            ("_INBOX.abc", None),
            ("", None),
        ] {
            assert_eq!(AckSubject::parse(reply), expected, "{reply}");
        }
    }
}
