//! Topics in which the coordinators keep their records: created when first needed, read at every start.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::{BatchError, RecordBatch, batches};

use ottla_storage::Isolation;

use crate::partition::Partition;
use crate::topics::{CreateTopicError, NewTopic, Topic, Topics};

/// As `offsets.load.buffer.size` and `transaction.state.log.load.buffer.size` in Kafka.
const LOAD_BYTES: usize = 5 * 1024 * 1024;
/// No batch that a coordinator writes is larger when decompressed.
pub(crate) const DECOMPRESSED_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A topic behind a coordinator.
pub(crate) struct InternalTopic {
    topics: Arc<Topics>,
    name: &'static str,
    /// How it is created.
    partitions: i32,
    overrides: BTreeMap<String, String>,
}

/// Why what a coordinator has kept cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{topic}-{partition} cannot be read at offset {offset}: {error:?}")]
    Read { topic: String, partition: i32, offset: i64, error: ErrorCode },
    #[error("{topic}-{partition} has a broken batch: {source}")]
    Batch { topic: String, partition: i32, source: BatchError },
}

impl InternalTopic {
    pub(crate) fn new(
        topics: Arc<Topics>,
        name: &'static str,
        partitions: i32,
        overrides: &[(&str, String)],
    ) -> InternalTopic {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        InternalTopic { topics, name, partitions, overrides }
    }

    pub(crate) fn find(&self) -> Option<Arc<Topic>> {
        self.topics.by_name(self.name)
    }

    pub(crate) fn find_or_create(&self) -> Result<Arc<Topic>, CreateTopicError> {
        if let Some(topic) = self.find() {
            return Ok(topic);
        }
        let topic = NewTopic {
            name: self.name.to_owned(),
            partitions: Some(self.partitions),
            overrides: self.overrides.clone(),
        };
        match self.topics.create(topic) {
            // A client created it at the same moment.
            Err(error @ CreateTopicError::Exists { .. }) => self.find().ok_or(error),
            created => created,
        }
    }

    /// Gives every batch of a partition to `load`, in order.
    pub(crate) fn load(
        &self,
        partition: &Partition,
        load: &mut dyn FnMut(&RecordBatch<'_>) -> Result<(), BatchError>,
    ) -> Result<(), LoadError> {
        let (topic, index) = (self.name, partition.index);
        let broken = |source| LoadError::Batch { topic: topic.to_owned(), partition: index, source };
        let mut offset = partition.start_offset();
        while offset < partition.high_watermark() {
            let read = partition.read(offset, LOAD_BYTES, true, Isolation::ReadUncommitted);
            let unread = |error| LoadError::Read { topic: topic.to_owned(), partition: index, offset, error };
            let records = read.map_err(unread)?.records;
            let before = offset;
            for batch in batches(&records) {
                let batch = batch.map_err(broken)?;
                offset = offset.max(batch.header().next_offset());
                load(&batch).map_err(broken)?;
            }
            if offset == before {
                break;
            }
        }
        Ok(())
    }
}

/// The partition that Kafka keeps the records of `key` in: `abs(key.hashCode) % partitions`, as Java computes it.
pub(crate) fn partition_for(key: &str, partitions: usize) -> usize {
    let hash =
        key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's `Utils.abs` makes 0 of the one number that has no positive counterpart.
    hash.checked_abs().unwrap_or(0) as usize % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_partitions_that_java_puts_them_in() {
        // `"…".hashCode()` as Java gives it: 0, 98629247, -2147483648, and one outside of the basic plane.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("group", 50), 98_629_247 % 50);
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("😀", 50), 1_772_899 % 50);
    }
}
