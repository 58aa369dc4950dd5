//! The records that wait for one partition, and the batch of it that is in flight.

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, BuildError};
use tokio::time::Instant;

use super::{OutgoingRecord, ProducerConfig};
use crate::init_producer_id::ProducerIdentity;

#[derive(Debug, Default)]
pub(super) struct PartitionQueue {
    gathered: Option<Gathered>,
    /// How many records the batch in flight has.
    in_flight: Option<u64>,
    next_sequence: i32,
}

#[derive(Debug)]
struct Gathered {
    builder: BatchBuilder,
    since: Instant,
}

impl PartitionQueue {
    pub(super) fn push(
        &mut self,
        timestamp_ms: i64,
        record: &OutgoingRecord<'_>,
        config: &ProducerConfig,
    ) -> Result<(), BuildError> {
        let gathered = self.gathered.get_or_insert_with(|| Gathered {
            builder: BatchBuilder::new(config.compression).with_capacity(config.batch_bytes),
            since: Instant::now(),
        });
        gathered.builder.push_with_headers(timestamp_ms, record.key, record.value, record.headers)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.gathered.as_ref().map_or(0, |gathered| gathered.builder.size_bytes())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_none()
    }

    /// When the oldest record that waits was added.
    pub(super) fn since(&self) -> Option<Instant> {
        self.gathered.as_ref().map(|gathered| gathered.since)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The records that wait, as a batch that is in flight from here on.
    pub(super) fn take_batch(
        &mut self,
        config: &ProducerConfig,
        identity: Option<ProducerIdentity>,
        is_transactional: bool,
    ) -> Result<Bytes, BuildError> {
        let empty = || BatchBuilder::new(config.compression);
        let builder = self.gathered.take().map_or_else(empty, |gathered| gathered.builder);
        let records = builder.len();
        let builder = match identity {
            Some(ProducerIdentity { producer_id, producer_epoch }) => {
                builder.with_producer(producer_id, producer_epoch, self.next_sequence)
            }
            None => builder,
        };
        let builder = if is_transactional { builder.transactional() } else { builder };
        let batch = builder.build()?;
        self.in_flight = Some(records as u64);
        self.next_sequence = sequence_after(self.next_sequence, records);
        Ok(batch)
    }

    /// Forgets the records that wait.
    pub(super) fn clear(&mut self) {
        self.gathered = None;
    }

    /// The next batch is the first of a new producer epoch.
    pub(super) fn restart(&mut self) {
        self.next_sequence = 0;
    }

    /// The batch in flight has been acknowledged; answers how many records it had.
    pub(super) fn settle(&mut self) -> u64 {
        self.in_flight.take().unwrap_or(0)
    }
}

/// Sequences run from 0 to `i32::MAX`, and begin again at 0.
fn sequence_after(sequence: i32, records: usize) -> i32 {
    ((sequence as usize + records) & i32::MAX as usize) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_after(0, 3), 3);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    }
}
