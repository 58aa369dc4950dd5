//! The pure middle against a model: random batches of random producers, compacted in rounds.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{BatchBuilder, BatchHeader, RecordBatch, batches},
    records::control::{ControlRecordType, EndTransactionMarker},
};
use proptest::prelude::*;

use super::*;
use crate::transaction_index::AbortedEntry;

const DELETE_RETENTION_MS: i64 = 1000;

/// What a producer does next. Each producer has one transaction at a time.
#[derive(Clone, Debug)]
enum Step {
    /// Keys with values; no value is a tombstone, no key comes from before the topic was compacted.
    Records {
        producer: Option<i64>,
        transactional: bool,
        records: Vec<(Option<u8>, bool)>,
        compression: usize,
    },
    End {
        producer: i64,
        commit: bool,
    },
    /// A round, after so much time; the map takes only so many keys.
    Compact {
        after_ms: i64,
        from_start: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let record = (prop::option::weighted(0.95, 0..6_u8), prop::bool::weighted(0.8));
    prop_oneof![
        8 => (prop::option::of(0..3_i64), any::<bool>(), prop::collection::vec(record, 1..5), 0..5_usize).prop_map(
            |(producer, transactional, records, compression)| Step::Records {
                transactional: transactional && producer.is_some(), producer, records, compression
            }
        ),
        3 => (0..3_i64, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        2 => (0..1500_i64, any::<bool>())
            .prop_map(|(after_ms, from_start)| Step::Compact { after_ms, from_start }),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelRecord {
    offset: i64,
    key: Option<u8>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    /// `None` in an open transaction.
    is_committed: Option<bool>,
    /// Set by the first compaction that keeps a tombstone; its whole batch has the same.
    horizon_ms: Option<i64>,
    batch: i64,
}

#[derive(Default)]
struct Harness {
    /// The log, as it was compacted last.
    log: Vec<Bytes>,
    model: Vec<ModelRecord>,
    next_offset: i64,
    now_ms: i64,
    open: BTreeMap<i64, i64>,
    aborted: Vec<AbortedEntry>,
    last_traces: HashMap<i64, LastTrace>,
    cleaned_to: i64,
}

impl Harness {
    fn run(&mut self, step: &Step) {
        self.now_ms += 10;
        match step {
            Step::Records { producer, transactional, records, compression } => {
                // A producer within a transaction writes nothing else.
                let in_transaction = producer.is_some_and(|producer| self.open.contains_key(&producer));
                let codec = Compression::ALL[*compression];
                self.append(*producer, *transactional || in_transaction, records, codec);
            }
            &Step::End { producer, commit } => self.end(producer, commit),
            &Step::Compact { after_ms, from_start } => {
                self.now_ms += after_ms;
                self.compact(from_start);
            }
        }
    }

    fn append(
        &mut self,
        producer: Option<i64>,
        transactional: bool,
        records: &[(Option<u8>, bool)],
        codec: Compression,
    ) {
        let mut batch = BatchBuilder::new(codec).with_base_offset(self.next_offset);
        if let Some(producer) = producer {
            batch = batch.with_producer(producer, 0, 0);
        }
        if transactional {
            batch = batch.transactional();
            self.open.entry(producer.unwrap()).or_insert(self.next_offset);
        }
        let base_offset = self.next_offset;
        for &(key, has_value) in records {
            let value = has_value.then(|| self.next_offset.to_be_bytes().to_vec());
            let key_bytes = key.map(|key| [key]);
            batch.push(self.now_ms, key_bytes.as_ref().map(|key| &key[..]), value.as_deref()).unwrap();
            let is_committed = (!transactional).then_some(true);
            self.model.push(ModelRecord {
                offset: self.next_offset,
                key,
                value,
                timestamp: self.now_ms,
                is_committed,
                horizon_ms: None,
                batch: base_offset,
            });
            self.next_offset += 1;
        }
        self.log.push(batch.build().unwrap());
        if let Some(producer) = producer {
            self.last_traces.insert(producer, LastTrace::Records { last_offset: self.next_offset - 1 });
        }
    }

    fn end(&mut self, producer: i64, commit: bool) {
        let Some(first_offset) = self.open.remove(&producer) else { return };
        let mut marker = BatchBuilder::new(Compression::None)
            .with_base_offset(self.next_offset)
            .with_producer(producer, 0, -1)
            .transactional()
            .control();
        let control_type = if commit { ControlRecordType::Commit } else { ControlRecordType::Abort };
        let value = EndTransactionMarker { coordinator_epoch: 0 }.encode();
        marker.push(self.now_ms, Some(&control_type.encode_key()), Some(&value)).unwrap();
        self.log.push(marker.build().unwrap());
        if !commit {
            self.aborted.push(AbortedEntry {
                producer_id: producer,
                first_offset,
                last_offset: self.next_offset,
                last_stable_offset: 0,
            });
        }
        for record in self.model.iter_mut().filter(|record| record.is_committed.is_none()) {
            if producer_of(&self.log, record.batch) == Some(producer) {
                record.is_committed = Some(commit);
            }
        }
        self.next_offset += 1;
    }

    fn compact(&mut self, from_start: bool) {
        let bound = self.open.values().copied().min().unwrap_or(self.next_offset);
        let first_dirty = if from_start { 0 } else { self.cleaned_to.min(bound) };
        let mut keys = KeyOffsets::new(first_dirty, 0);
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted(self.aborted.iter().copied());
        let below = |bytes: &&Bytes| BatchHeader::parse(bytes).unwrap().base_offset < bound;
        for bytes in self.log.iter().filter(below) {
            let (batch, _) = RecordBatch::parse(bytes).unwrap();
            if !transactions.is_obsolete(&batch).unwrap() && !batch.header().is_control() {
                assert!(keys.add(&batch).unwrap());
            }
        }
        keys.skip_to(bound - 1);
        let keys = keys.complete();
        self.clean(&keys, bound);
        self.compact_model(bound);
        self.cleaned_to = bound;
    }

    fn clean(&mut self, keys: &KeyOffsets, bound: i64) {
        let rules = Rules {
            keys,
            last_traces: &self.last_traces,
            now_ms: self.now_ms,
            delete_retention_ms: DELETE_RETENTION_MS,
            upper_bound_offset: bound,
        };
        let mut cleaner = BatchCleaner::new(rules);
        cleaner.transactions.add_aborted(self.aborted.iter().copied());
        let mut log = Vec::new();
        for bytes in &self.log {
            let (batch, _) = RecordBatch::parse(bytes).unwrap();
            if batch.base_offset() >= bound {
                log.push(bytes.clone());
                continue;
            }
            let mut out = Vec::new();
            let cleaned = cleaner.clean(&batch, &mut out).unwrap();
            assert_eq!(cleaned == Cleaned::Unchanged, out == *bytes);
            check_frame(&batch, &out);
            if !out.is_empty() {
                log.push(out.into());
            }
        }
        self.aborted.retain(|aborted| {
            aborted.last_offset >= bound || cleaner.transactions.retained.contains(aborted)
        });
        self.log = log;
    }

    fn compact_model(&mut self, bound: i64) {
        let mut last: HashMap<u8, i64> = HashMap::new();
        for record in self.model.iter().filter(|r| r.offset < bound && r.is_committed == Some(true)) {
            if let Some(key) = record.key {
                last.insert(key, record.offset);
            }
        }
        let now_ms = self.now_ms;
        self.model.retain(|record| {
            let is_last = record.key.is_some_and(|key| last.get(&key) == Some(&record.offset));
            let is_past = record.horizon_ms.is_some_and(|horizon| horizon <= now_ms);
            record.offset >= bound
                || record.is_committed == Some(true) && is_last && (record.value.is_some() || !is_past)
        });
        let with_tombstone: Vec<i64> = self
            .model
            .iter()
            .filter(|record| record.offset < bound && record.value.is_none() && record.horizon_ms.is_none())
            .map(|record| record.batch)
            .collect();
        for record in self.model.iter_mut().filter(|record| with_tombstone.contains(&record.batch)) {
            record.horizon_ms = Some(now_ms + DELETE_RETENTION_MS);
        }
    }

    fn check(&self) {
        let mut found = Vec::new();
        let mut markers = HashMap::new();
        for bytes in &self.log {
            let (batch, _) = RecordBatch::parse(bytes).unwrap();
            batch.verify_crc().unwrap();
            let records = batch.records(1 << 20).unwrap();
            for record in &records {
                let record = record.unwrap();
                if batch.header().is_control() {
                    markers.insert(batch.header().producer_id, record.offset);
                    continue;
                }
                let (key, value) = (record.key.map(|key| key[0]), record.value.map(<[u8]>::to_vec));
                found.push((record.offset, key, value, record.timestamp));
            }
        }
        let expected: Vec<_> = self
            .model
            .iter()
            .map(|record| (record.offset, record.key, record.value.clone(), record.timestamp))
            .collect();
        assert_eq!(found, expected);
        self.check_traces();
    }

    /// A start that reads the log again knows each producer's last sequence, and how far the log was cleaned.
    fn check_traces(&self) {
        let headers: Vec<BatchHeader> =
            self.log.iter().map(|bytes| BatchHeader::parse(bytes).unwrap()).collect();
        for (&producer, trace) in &self.last_traces {
            let LastTrace::Records { last_offset } = *trace else { continue };
            let kept = headers.iter().rfind(|header| header.producer_id == producer && !header.is_control());
            assert_eq!(kept.map(BatchHeader::last_offset), Some(last_offset));
        }
        let end = headers.last().map_or(0, BatchHeader::next_offset);
        assert_eq!(end, self.next_offset);
    }
}

fn producer_of(log: &[Bytes], base_offset: i64) -> Option<i64> {
    let headers = log.iter().map(|bytes| BatchHeader::parse(bytes).unwrap());
    headers.into_iter().find(|header| header.base_offset == base_offset).map(|header| header.producer_id)
}

/// What consumers and producers rely on does not change.
fn check_frame(before: &RecordBatch<'_>, after: &[u8]) {
    for batch in batches(after) {
        let (before, after) = (*before.header(), *batch.unwrap().header());
        assert_eq!((after.base_offset, after.last_offset()), (before.base_offset, before.last_offset()));
        assert_eq!(
            (after.producer_id, after.producer_epoch, after.base_sequence, after.leader_epoch),
            (before.producer_id, before.producer_epoch, before.base_sequence, before.leader_epoch)
        );
        assert_eq!(
            (after.is_transactional(), after.is_control(), after.timestamp_type()),
            (before.is_transactional(), before.is_control(), before.timestamp_type())
        );
    }
}

proptest! {
    #[test]
    fn the_last_record_of_each_key_survives(steps in prop::collection::vec(step(), 1..60)) {
        let mut harness = Harness::default();
        for step in &steps {
            harness.run(step);
            harness.check();
        }
        // Everything is decided, so that markers and tombstones go in the end, and another round changes nothing.
        for producer in 0..3 {
            harness.run(&Step::End { producer, commit: producer == 0 });
        }
        for _ in 0..3 {
            harness.run(&Step::Compact { after_ms: 2 * DELETE_RETENTION_MS, from_start: false });
            harness.check();
        }
        let settled = harness.log.clone();
        harness.run(&Step::Compact { after_ms: 0, from_start: true });
        prop_assert_eq!(settled, harness.log.clone());
        prop_assert!(harness.model.iter().all(|record| record.value.is_some()));
    }
}
