//! What a consumer of `read_committed` gets of a fetch: no markers, and nothing of transactions that were aborted (KIP-98).

use std::collections::HashMap;

use ottla_protocol::batch::{BatchError, RecordBatch};

use crate::fetch::{AbortedTransaction, FetchedPartition};

/// A marker's key: version, then 0 for an abort.
const ABORT_MARKER: &[u8] = &[0, 0];
/// More bytes no marker has.
const MAX_MARKER_BYTES: usize = 1 << 10;

impl FetchedPartition {
    /// The record batches that are committed, of a fetch with [`crate::IsolationLevel::ReadCommitted`]; ends after the
    /// first that is not sound.
    pub fn committed_batches(&self) -> impl Iterator<Item = Result<RecordBatch<'_>, BatchError>> {
        let mut filter = self.committed_filter();
        self.batches().filter_map(move |batch| match batch {
            Ok(batch) => match filter.is_read(&batch) {
                Ok(true) => Some(Ok(batch)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            },
            Err(error) => Some(Err(error)),
        })
    }

    /// For whoever goes through [`FetchedPartition::batches`]. Of a fetch without
    /// [`crate::IsolationLevel::ReadCommitted`] all but the markers is read.
    pub fn committed_filter(&self) -> CommittedFilter {
        CommittedFilter::new(&self.aborted_transactions)
    }
}

/// Which batches of one fetch a consumer gets. Holds where the aborted transactions of each producer begin, the next
/// one last. The default reads all but markers.
#[derive(Debug, Default)]
pub struct CommittedFilter(HashMap<i64, Vec<i64>>);

impl CommittedFilter {
    fn new(transactions: &[AbortedTransaction]) -> CommittedFilter {
        let mut by_producer: HashMap<i64, Vec<i64>> = HashMap::new();
        for transaction in transactions {
            by_producer.entry(transaction.producer_id).or_default().push(transaction.first_offset);
        }
        for first_offsets in by_producer.values_mut() {
            first_offsets.sort_unstable_by(|a, b| b.cmp(a));
        }
        CommittedFilter(by_producer)
    }

    /// Whether the batch's records are to be read. Batches come in the order of their offsets, every one of them.
    pub fn is_read(&mut self, batch: &RecordBatch<'_>) -> Result<bool, BatchError> {
        let header = batch.header();
        if header.is_control() {
            if is_abort_marker(batch)?
                && let Some(first_offsets) = self.0.get_mut(&header.producer_id)
            {
                first_offsets.pop();
            }
            return Ok(false);
        }
        let first_offset = self.0.get(&header.producer_id).and_then(|first_offsets| first_offsets.last());
        Ok(!header.is_transactional() || first_offset.is_none_or(|first| batch.base_offset() < *first))
    }
}

fn is_abort_marker(batch: &RecordBatch<'_>) -> Result<bool, BatchError> {
    let records = batch.records(MAX_MARKER_BYTES)?;
    let key = (&records).into_iter().next().transpose()?.and_then(|record| record.key);
    Ok(key.and_then(|key| key.get(2..4)) == Some(ABORT_MARKER))
}
