//! The events about jobs. Pure.

use crate::publish::OutgoingEvent;
use kurir_contract::{
    clock,
    command::QueuedSend,
    event::{EventId, EventType, JobEvent, KnownAddresses, MessageQueued},
    job::{JobRecord, JobState},
    session::SessionId,
};
use time::OffsetDateTime;

/// The event about a message that waits.
pub fn queued_event(session: &SessionId, queued: &QueuedSend, at: OffsetDateTime) -> OutgoingEvent {
    // The same message may wait several times, each time until another moment.
    let event_id =
        EventId::from_header(queued.job_id.as_str()).derived(&format!("{} {}", queued.message_id, queued.until));
    let data = MessageQueued {
        message_id: queued.message_id.clone(),
        to: queued.to.clone(),
        from: queued.to.clone(),
        chat: KnownAddresses::from_jid(queued.to.clone()),
        job_id: queued.job_id.clone(),
        until: queued.until.clone(),
        reason: queued.reason,
        timestamp: clock::iso(at),
        session: session.clone(),
        event_id: event_id.clone(),
    };
    OutgoingEvent::new(session, EventType::MESSAGE_QUEUED, event_id, at, data)
}

pub fn progress_event(record: &JobRecord, at: OffsetDateTime) -> OutgoingEvent {
    job_event(record, EventType::JOB_PROGRESS, &format!("progress {}", record.next_index()), at)
}

/// The event about the end of a job; none unless the job has ended.
pub fn end_event(record: &JobRecord, at: OffsetDateTime) -> Option<OutgoingEvent> {
    let kind = match record.state {
        JobState::Done => EventType::JOB_DONE,
        JobState::Cancelled => EventType::JOB_CANCELLED,
        JobState::Failed => EventType::JOB_FAILED,
        JobState::Scheduled | JobState::Running | JobState::Queued => return None,
    };
    Some(job_event(record, kind, "end", at))
}

fn job_event(record: &JobRecord, kind: EventType, variant: &str, at: OffsetDateTime) -> OutgoingEvent {
    let event_id = EventId::from_header(record.id.as_str()).derived(variant);
    let data = JobEvent {
        job_id: record.id.clone(),
        name: record.name.clone(),
        state: record.state,
        total: record.total,
        sent: record.sent,
        failed: record.failed,
        reason: record.reason.clone(),
        timestamp: clock::iso(at),
        session: record.session.clone(),
        event_id: event_id.clone(),
    };
    OutgoingEvent::new(&record.session, kind, event_id, at, data)
}

/// Whether the message that was just counted completes a tenth of the job.
#[must_use]
pub fn completes_a_tenth(done: usize, total: usize) -> bool {
    done < total && done * 10 / total != (done.saturating_sub(1)) * 10 / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_is_told_once_and_the_end_is_not_one() {
        for (total, expected) in [(1, 0), (2, 1), (10, 9), (50, 9), (10_000, 9)] {
            let told = (1..=total).filter(|done| completes_a_tenth(*done, total)).count();
            assert_eq!(told, expected, "{total}");
        }
    }
}
