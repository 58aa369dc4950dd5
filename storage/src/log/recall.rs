//! After a restart a log knows but the newest batch of each producer, for that is all that a snapshot keeps. The four
//! before it are in the log: they are looked for when a producer sends something that does not follow its newest batch.

use std::collections::VecDeque;

use ottla_protocol::batch::BatchHeader;

use super::{Log, writer::LogWriter};
use crate::{
    producer_state::{CachedBatch, OldestKnown},
    segment::SegmentError,
};

/// How far back batches are looked for: what five batches of `max.message.bytes` take, three times over. Only their
/// headers are read.
const RECALLED_BYTES: usize = 16 << 20;

impl Log {
    /// Whether more is known about the producer than before. The log is searched once for each producer.
    pub(super) fn recall(&self, writer: &mut LogWriter, producer_id: i64) -> bool {
        let Some(oldest) = writer.producers.oldest_of_incomplete(producer_id) else { return false };
        let earlier = self.batches_before(oldest).unwrap_or_else(|error| {
            tracing::warn!("the earlier batches of producer {producer_id} cannot be found: {error}");
            VecDeque::new()
        });
        let found = !earlier.is_empty();
        writer.producers.complete(producer_id, earlier);
        found
    }

    fn batches_before(&self, oldest: OldestKnown) -> Result<VecDeque<CachedBatch>, SegmentError> {
        let OldestKnown { producer_id, epoch, base_offset, missing } = oldest;
        let segments = self.segments.read().list.clone();
        let mut found = VecDeque::new();
        let mut left_bytes = RECALLED_BYTES;
        for segment in segments.iter().rev().filter(|segment| segment.base_offset() < base_offset) {
            let mut in_segment = VecDeque::new();
            let walked_bytes = segment.headers_before(base_offset, left_bytes, |header: &BatchHeader| {
                let is_wanted = header.producer_id == producer_id
                    && header.producer_epoch == epoch
                    && header.base_sequence >= 0;
                if is_wanted {
                    if in_segment.len() == missing {
                        in_segment.pop_front();
                    }
                    in_segment.push_back(CachedBatch::of(header));
                }
            })?;
            while found.len() < missing
                && let Some(batch) = in_segment.pop_back()
            {
                found.push_front(batch);
            }
            left_bytes = left_bytes.saturating_sub(walked_bytes);
            if found.len() == missing || left_bytes == 0 {
                break;
            }
        }
        Ok(found)
    }
}
