//! What an event brings to the state machine, and what the state machine asks for in return.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::MAX_MEMBERS_BYTES;
use super::record::CoordinatorRecord;
use crate::config::BrokerSettings;

/// The moment of an event, on both of the broker's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Milliseconds since the epoch: stamped on commits and state changes, and kept in the log.
    pub(crate) wall_ms: i64,
    /// Milliseconds that never go back: what sessions and rebalances are timed by.
    pub(crate) monotonic_ms: i64,
}

/// Names a request that waits for its answer. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// An answer to a request that may have waited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Join(Ticket, JoinGroupResponse),
    Sync(Ticket, SyncGroupResponse),
}

/// What the owner of the state machine does after an event: `records` are appended to the offsets log, all or none;
/// then `answers` are sent.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Effects {
    pub(crate) records: Vec<CoordinatorRecord>,
    pub(crate) answers: Vec<Answer>,
}

/// The settings that the group protocol depends on; names are Kafka's, `group.…` and `offsets.…`.
#[derive(Debug, Clone)]
pub(crate) struct GroupConfig {
    pub(crate) initial_rebalance_delay_ms: i64,
    pub(crate) min_session_timeout_ms: i32,
    pub(crate) max_session_timeout_ms: i32,
    pub(crate) max_size: usize,
    /// Kafka has no bound.
    pub(crate) max_members_bytes: usize,
    pub(crate) offset_metadata_max_chars: usize,
    pub(crate) offsets_retention_ms: i64,
    pub(crate) offsets_retention_check_interval_ms: i64,
}

/// One event in progress: its time, the settings in force, and the effects so far.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a GroupConfig,
    pub(crate) effects: Effects,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(now: Now, config: &'a GroupConfig) -> Turn<'a> {
        Turn { now, config, effects: Effects::default() }
    }

    pub(super) fn append(&mut self, record: CoordinatorRecord) {
        self.effects.records.push(record);
    }

    pub(super) fn answer_join(&mut self, ticket: Ticket, response: JoinGroupResponse) {
        self.effects.answers.push(Answer::Join(ticket, response));
    }

    pub(super) fn refuse_join(&mut self, ticket: Ticket, member_id: &super::MemberId, error: ErrorCode) {
        let response =
            JoinGroupResponse::default().with_member_id(member_id.clone()).with_error_code(error.code());
        self.answer_join(ticket, response);
    }

    pub(super) fn answer_sync(&mut self, ticket: Ticket, response: SyncGroupResponse) {
        self.effects.answers.push(Answer::Sync(ticket, response));
    }

    pub(super) fn refuse_sync(&mut self, ticket: Ticket, error: ErrorCode) {
        self.answer_sync(ticket, SyncGroupResponse::default().with_error_code(error.code()));
    }
}

impl From<&BrokerSettings> for GroupConfig {
    fn from(settings: &BrokerSettings) -> GroupConfig {
        GroupConfig {
            initial_rebalance_delay_ms: i64::from(settings.group_initial_rebalance_delay_ms),
            min_session_timeout_ms: settings.group_min_session_timeout_ms,
            max_session_timeout_ms: settings.group_max_session_timeout_ms,
            max_members_bytes: MAX_MEMBERS_BYTES,
            max_size: usize::try_from(settings.group_max_size).unwrap_or(usize::MAX),
            offset_metadata_max_chars: usize::try_from(settings.offset_metadata_max_bytes)
                .unwrap_or(usize::MAX),
            offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        }
    }
}
