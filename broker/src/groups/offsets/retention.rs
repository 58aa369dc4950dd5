//! Offsets that nobody has needed for `offsets.retention.minutes`, and groups that are left with nothing.

use ottla_protocol::messages::GroupId;

use super::CommittedOffset;
use crate::groups::classic::ClassicGroup;
use crate::groups::record::CoordinatorRecord;
use crate::groups::state::{Group, Groups};
use crate::groups::turn::Now;

/// What a look at all groups has found.
#[derive(Debug, Default)]
pub(crate) struct RetentionOutcome {
    pub(crate) records: Vec<CoordinatorRecord>,
    /// When, in wall-clock milliseconds, the next of the offsets seen expires, if all stays as it is.
    pub(crate) next_expiry_ms: Option<i64>,
}

impl Groups {
    /// The records that delete what has expired by now.
    pub(crate) fn expired_offsets(&self, now: Now) -> RetentionOutcome {
        let mut outcome = RetentionOutcome::default();
        for (group_id, group) in self.iter() {
            self.expire_group(group_id, group, now, &mut outcome);
        }
        outcome
    }

    fn expire_group(&self, group_id: &GroupId, group: &Group, now: Now, outcome: &mut RetentionOutcome) {
        let mut keeps_offsets = false;
        for (topic, partition, offset) in group.offsets.iter() {
            // The tombstone would also take what an open transaction is about to commit.
            if group.membership.is_subscribed_to(topic) || group.pending.contains(topic, partition) {
                keeps_offsets = true;
                continue;
            }
            match expiry_ms(&group.membership, offset, self.config().offsets_retention_ms) {
                Some(expiry_ms) if expiry_ms <= now.wall_ms => {
                    outcome.records.push(CoordinatorRecord::offset_tombstone(group_id, topic, partition));
                }
                expiry_ms => {
                    keeps_offsets = true;
                    outcome.next_expiry_ms = expiry_ms.into_iter().chain(outcome.next_expiry_ms).min();
                }
            }
        }
        if !keeps_offsets && group.pending.is_empty() && group.membership.is_empty() {
            outcome.records.push(CoordinatorRecord::group_tombstone(group_id));
        }
    }
}

/// When an offset of a topic that no member subscribes to expires; `None` while the group's state protects it.
///
/// KIP-211: in a group that had members, retention counts from the time when the last one left; for offsets of a
/// group that never had any, and of topics that a group no longer reads, from the commit.
fn expiry_ms(group: &ClassicGroup, offset: &CommittedOffset, retention_ms: i64) -> Option<i64> {
    let counts_from_ms = if !group.has_protocol_type() {
        offset.commit_timestamp_ms
    } else if group.is_empty() {
        group.phase_since_ms().unwrap_or(offset.commit_timestamp_ms)
    } else if group.is_stable() && group.uses_consumer_protocol() && group.knows_subscribed_topics() {
        offset.commit_timestamp_ms
    } else {
        return None;
    };
    Some(offset.expire_timestamp_ms.unwrap_or_else(|| counts_from_ms.saturating_add(retention_ms)))
}
