//! Which transactions a compaction has met on its way through the log, so that aborted records go, and a marker stays as
//! long as there is something that it decides.

use std::collections::{BTreeMap, HashMap, HashSet};

use ottla_protocol::{
    batch::{BatchError, RecordBatch},
    records::control::ControlRecordType,
};

use crate::transaction_index::AbortedEntry;

/// Batches must be shown in the order of their offsets, all that lie below the last stable offset.
#[derive(Default)]
pub(crate) struct CleanedTransactions {
    /// Those that begin behind the last batch seen, by first offset and producer.
    ahead: BTreeMap<(i64, i64), AbortedEntry>,
    aborted: HashMap<i64, Ongoing>,
    /// The producers of committed transactions of which a batch was seen.
    committed: HashSet<i64>,
    /// Aborted transactions of which a batch was seen before the marker; their index entries stay.
    pub(crate) retained: Vec<AbortedEntry>,
}

struct Ongoing {
    transaction: AbortedEntry,
    has_batches: bool,
}

impl CleanedTransactions {
    /// To be called before their batches are shown. The same transaction may come again.
    pub(crate) fn add_aborted(&mut self, transactions: impl IntoIterator<Item = AbortedEntry>) {
        let keyed =
            transactions.into_iter().map(|aborted| ((aborted.first_offset, aborted.producer_id), aborted));
        self.ahead.extend(keyed);
    }

    /// Whether the batch holds nothing that counts: aborted records, or a marker of a transaction that has no batch any
    /// more.
    pub(crate) fn is_obsolete(&mut self, batch: &RecordBatch<'_>) -> Result<bool, BatchError> {
        self.begin_up_to(batch.last_offset());
        if batch.header().is_control() { self.see_marker(batch) } else { Ok(self.see_data(batch)) }
    }

    fn see_data(&mut self, batch: &RecordBatch<'_>) -> bool {
        if !batch.header().is_transactional() {
            return false;
        }
        let producer_id = batch.header().producer_id;
        match self.aborted.get_mut(&producer_id) {
            Some(ongoing) => {
                ongoing.has_batches = true;
                true
            }
            None => {
                self.committed.insert(producer_id);
                false
            }
        }
    }

    fn see_marker(&mut self, batch: &RecordBatch<'_>) -> Result<bool, BatchError> {
        let records = batch.records(batch.size_bytes())?;
        // One that is empty was cleaned before.
        let Some(record) = records.iter().next().transpose()? else { return Ok(true) };
        let producer_id = batch.header().producer_id;
        Ok(match record.key.map(ControlRecordType::decode_key) {
            Some(Ok(ControlRecordType::Abort)) => match self.aborted.remove(&producer_id) {
                Some(ongoing) if ongoing.has_batches => {
                    self.retained.push(ongoing.transaction);
                    false
                }
                _ => true,
            },
            Some(Ok(ControlRecordType::Commit)) => !self.committed.remove(&producer_id),
            _ => false,
        })
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(entry) = self.ahead.first_entry()
            && entry.key().0 <= offset
        {
            let transaction = entry.remove();
            self.aborted
                .entry(transaction.producer_id)
                .or_insert(Ongoing { transaction, has_batches: false });
        }
    }
}
