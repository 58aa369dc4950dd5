//! What of a batch survives a compaction. Pure: batches in, bytes out.

use std::collections::HashMap;

use ottla_protocol::batch::{
    BatchError, BatchRewriter, HorizonFor, Record, RecordBatch, Retained, put_empty_batch,
};

use super::{
    offset_map::{KEYS_AT_A_TIME, KeyAt, OffsetMap},
    offset_set::OffsetSet,
    transactions::CleanedTransactions,
};
use crate::segment::MAX_DECOMPRESSED_BYTES;

/// The last trace of a producer that is active: the batch that holds it stays, if only as a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastTrace {
    /// The last offset of its last batch of records.
    Records { last_offset: i64 },
    /// A transaction marker of this epoch.
    Marker { producer_epoch: i16 },
}

/// The last offset of every key in the dirty part of a log, up to `latest_offset`.
pub(crate) struct KeyOffsets {
    map: OffsetMap,
    /// To be put together.
    waiting: Vec<KeyAt>,
    first_offset: i64,
    pub(crate) latest_offset: i64,
    /// Of the dirty part, those offsets that the map has: a second look into the map, where a record is seldom near the
    /// last one, would take a third of the time.
    last: Option<OffsetSet>,
}

/// What decides about all batches of a compaction.
pub(crate) struct Rules<'a> {
    pub(crate) keys: &'a KeyOffsets,
    pub(crate) last_traces: &'a HashMap<i64, LastTrace>,
    pub(crate) now_ms: i64,
    /// `delete.retention.ms`
    pub(crate) delete_retention_ms: i64,
    /// The batch that ends here stays, so that the log still says where it was cleaned up to.
    pub(crate) upper_bound_offset: i64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    /// It stays as it is.
    Unchanged,
    Changed,
}

/// How many records were seen and kept, for the log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) read: u64,
    pub(crate) kept: u64,
    /// Of a topic that was not compacted when they came.
    pub(crate) without_key: u64,
}

pub(crate) struct BatchCleaner<'a> {
    rules: Rules<'a>,
    pub(crate) transactions: CleanedTransactions,
    rewriter: BatchRewriter,
    pub(crate) counts: Counts,
}

impl<'a> BatchCleaner<'a> {
    pub(crate) fn new(rules: Rules<'a>) -> BatchCleaner<'a> {
        BatchCleaner {
            rules,
            transactions: CleanedTransactions::default(),
            rewriter: BatchRewriter::default(),
            counts: Counts::default(),
        }
    }

    /// Appends to `out` what stays of the batch: all of it, another batch with the same offsets, its header, or nothing.
    pub(crate) fn clean(
        &mut self,
        batch: &RecordBatch<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Cleaned, BatchError> {
        if !self.rules.keys.has_seen(batch) {
            batch.verify_crc()?;
        }
        let header = batch.header();
        let is_obsolete = self.transactions.is_obsolete(batch)?;
        let horizon_is_past = header.delete_horizon_ms().is_some_and(|horizon| horizon <= self.rules.now_ms);
        let drops_all = is_obsolete && (!header.is_control() || horizon_is_past);
        let retained = if drops_all {
            self.counts.read += u64::try_from(header.records_count).unwrap_or(0);
            Retained::Nothing
        } else {
            self.filter(batch, is_obsolete, horizon_is_past, out)?
        };
        if retained == Retained::Nothing && self.rules.keep_empty(batch) {
            if header.records_count == 0 {
                out.extend_from_slice(batch.bytes());
                return Ok(Cleaned::Unchanged);
            }
            put_empty_batch(batch, out);
        }
        Ok(if retained == Retained::AsItWas { Cleaned::Unchanged } else { Cleaned::Changed })
    }

    fn filter(
        &mut self,
        batch: &RecordBatch<'_>,
        is_obsolete: bool,
        horizon_is_past: bool,
        out: &mut Vec<u8>,
    ) -> Result<Retained, BatchError> {
        let is_control = batch.header().is_control();
        let horizon_for =
            if is_control && is_obsolete { HorizonFor::AnyRecord } else { HorizonFor::Tombstones };
        let horizon_ms = self.rules.now_ms.saturating_add(self.rules.delete_retention_ms);
        let records = batch.records(MAX_DECOMPRESSED_BYTES)?;
        let Self { rules, rewriter, counts, .. } = self;
        let keep = |record: &Record<'_>| {
            let keep = is_control || rules.keep(record, horizon_is_past, counts);
            counts.read += 1;
            counts.kept += u64::from(keep);
            keep
        };
        rewriter.retain(batch, &records, keep, (horizon_for, horizon_ms), out)
    }
}

impl Rules<'_> {
    fn keep(&self, record: &Record<'_>, horizon_is_past: bool, counts: &mut Counts) -> bool {
        if record.offset > self.keys.latest_offset {
            return true;
        }
        let Some(key) = record.key else {
            counts.without_key += 1;
            return false;
        };
        let may_stay = record.value.is_some() || !horizon_is_past;
        may_stay && self.keys.is_last(key, record.offset)
    }

    fn keep_empty(&self, batch: &RecordBatch<'_>) -> bool {
        let header = batch.header();
        let is_last_trace = match self.last_traces.get(&header.producer_id) {
            _ if !header.has_producer_id() => false,
            None => false,
            Some(&LastTrace::Records { last_offset }) => batch.last_offset() == last_offset,
            Some(&LastTrace::Marker { producer_epoch }) => {
                header.is_control() && header.producer_epoch == producer_epoch
            }
        };
        is_last_trace || header.next_offset() == self.upper_bound_offset
    }
}

impl KeyOffsets {
    /// Of a log that is dirty from `first_offset` on.
    pub(crate) fn new(first_offset: i64, max_bytes: usize) -> KeyOffsets {
        KeyOffsets {
            map: OffsetMap::new(max_bytes),
            waiting: Vec::with_capacity(KEYS_AT_A_TIME),
            first_offset,
            latest_offset: -1,
            last: None,
        }
    }

    /// Takes the keys of a batch in. False: the map is full, and knows the records up to `latest_offset` only.
    pub(crate) fn add(&mut self, batch: &RecordBatch<'_>) -> Result<bool, BatchError> {
        batch.verify_crc()?;
        for record in &batch.records(MAX_DECOMPRESSED_BYTES)? {
            let record = record?;
            let Some(key) = record.key.filter(|_| record.offset >= self.first_offset) else { continue };
            self.waiting.push(self.map.key_at(key, record.offset));
            if self.waiting.len() == KEYS_AT_A_TIME && !self.put_waiting() {
                return Ok(false);
            }
        }
        if !self.put_waiting() {
            return Ok(false);
        }
        self.skip_to(batch.last_offset());
        Ok(true)
    }

    /// False: the map is full.
    fn put_waiting(&mut self) -> bool {
        let put = self.map.put_all(&self.waiting);
        if let Some(last) = self.waiting[..put].last() {
            self.latest_offset = last.offset;
        }
        let is_all = put == self.waiting.len();
        self.waiting.clear();
        is_all
    }

    /// Nothing that has a key lies between what was added and `offset`.
    pub(crate) fn skip_to(&mut self, offset: i64) {
        self.latest_offset = self.latest_offset.max(offset);
    }

    /// To be called when everything was added.
    pub(crate) fn complete(mut self) -> KeyOffsets {
        let dirty = self.first_offset..self.latest_offset.saturating_add(1).max(self.first_offset);
        self.last = OffsetSet::of(dirty, self.map.offsets());
        self
    }

    /// Whether no later record of the key is known.
    fn is_last(&self, key: &[u8], offset: i64) -> bool {
        let in_dirty_part = self.last.as_ref().and_then(|last| last.contains(offset));
        in_dirty_part.unwrap_or_else(|| self.map.get(key).is_none_or(|last| offset >= last))
    }

    /// Whether the batch was found sound when its keys were added, which those of aborted records are not.
    fn has_seen(&self, batch: &RecordBatch<'_>) -> bool {
        let is_in_dirty_part =
            batch.base_offset() >= self.first_offset && batch.last_offset() <= self.latest_offset;
        is_in_dirty_part && !batch.header().is_transactional() && !batch.header().is_control()
    }
}
