//! The groups of an aggregation in a state store: the key is the grouping columns, the value the partial states.
//!
//! The event time stands first in the key, so that what the watermark is done with lies together.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StructArray, new_null_array,
};
use datafusion::arrow::compute::{cast, filter_record_batch, not};
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::error::Result;

use super::context::state_error;
use super::event_time::{EventTimeKey, EventTimeKind, ends};
use crate::state::{EncodedRows, RowFormat, Scan, StateDescription, StateStore};

/// Rows that are decoded at a time.
pub(super) const ROWS: usize = 8_192;

/// How an aggregation keeps its groups.
pub(super) trait Groups: Send + Sync {
    fn description(&self) -> StateDescription;

    /// The groups that the watermark has not passed, and how many it has.
    fn without_late(&self, groups: Vec<RecordBatch>, late_ms: i64) -> Result<(Vec<RecordBatch>, u64)>;

    /// The groups with what the state has of them, as rows of the same keys.
    fn with_known(&self, state: &mut StateStore, groups: Vec<RecordBatch>) -> Result<WithKnown>;

    fn put(&self, state: &mut StateStore, groups: &[RecordBatch]) -> Result<()>;

    fn all(&self, state: &StateStore) -> Result<Vec<RecordBatch>>;

    /// Some of the groups that the watermark has passed, which leave the state; `None` when there are no more.
    fn take_passed(&self, state: &mut StateStore, eviction_ms: i64) -> Result<Option<RecordBatch>>;

    fn count(&self, state: &mut StateStore) -> Result<u64>;
}

/// What arrived and what the state has of it.
#[derive(Default)]
pub(super) struct WithKnown {
    pub(super) groups: Vec<RecordBatch>,
    /// Sessions of the state that are parts of others now.
    pub(super) replaced: u64,
}

/// Groups without sessions.
pub(super) struct GroupState {
    schema: SchemaRef,
    keys: RowFormat,
    values: RowFormat,
    event_time: Option<(EventTimeKey, FieldRef)>,
}

pub(super) type Pairs = Vec<(Bytes, Bytes)>;

impl GroupState {
    /// The first `keys` columns of the schema are the grouping columns.
    pub(super) fn new(
        schema: SchemaRef,
        keys: usize,
        event_time: Option<EventTimeKey>,
    ) -> Result<GroupState> {
        let fields: Vec<_> = schema.fields().iter().cloned().enumerate().collect();
        let (key_columns, value_columns) = fields.split_at_checked(keys).unwrap_or((&fields, &[]));
        let mut key_columns = key_columns.to_vec();
        let event_time = match event_time {
            Some(event_time) if event_time.column < key_columns.len() => {
                let column = key_columns.remove(event_time.column);
                key_columns.insert(0, column.clone());
                Some((event_time, column.1))
            }
            _ => None,
        };
        let (keys, values) = (RowFormat::new(key_columns)?, RowFormat::new(value_columns.to_vec())?);
        Ok(GroupState { schema, keys, values, event_time })
    }

    /// What the state has of these groups, each once.
    fn lookup(&self, state: &StateStore, groups: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let encoded = groups.iter().map(|groups| self.keys.encode(groups)).collect::<Result<Vec<_>, _>>()?;
        let mut keys: Vec<_> = encoded.iter().flat_map(EncodedRows::iter).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut known = Vec::new();
        for keys in keys.chunks(ROWS) {
            let values = state.get_many(keys).map_err(state_error)?;
            let pairs = keys
                .iter()
                .zip(values)
                .filter_map(|(key, value)| Some((Bytes::copy_from_slice(key), value?)));
            let pairs: Pairs = pairs.collect();
            if !pairs.is_empty() {
                known.push(self.decode(&pairs)?);
            }
        }
        Ok(known)
    }

    /// Some of the groups that the watermark has passed, and their keys in the state.
    fn passed(&self, state: &StateStore, eviction_ms: i64) -> Result<Option<(Vec<Bytes>, RecordBatch)>> {
        let Some((event_time, field)) = &self.event_time else {
            return Ok(None);
        };
        let watermark_us = eviction_ms.saturating_mul(1_000);
        let window_us = match event_time.kind {
            EventTimeKind::Instant { window_us } => window_us,
            // A window has begun before it ends.
            EventTimeKind::Window => 0,
        };
        let from = self.bound(field, i64::MIN)?;
        let to = self.bound(field, watermark_us.saturating_sub(window_us).saturating_add(1))?;
        let mut candidates = state.range(Bound::Included(&from), Bound::Excluded(&to));
        while let Some(pairs) = next_pairs(&mut candidates)? {
            let groups = self.decode(&pairs)?;
            let ends = ends(*event_time, groups.column(event_time.column))?;
            let passed: BooleanArray =
                ends.iter().map(|end| Some(end.is_some_and(|end| end <= watermark_us))).collect();
            if passed.true_count() > 0 {
                let keys = pairs.into_iter().zip(passed.values()).filter(|(_, passed)| *passed);
                let keys = keys.map(|((key, _), _)| key).collect();
                return Ok(Some((keys, filter_record_batch(&groups, &passed)?)));
            }
        }
        Ok(None)
    }

    /// Before the keys whose event time is `time_us`, or whose window begins then.
    fn bound(&self, field: &FieldRef, time_us: i64) -> Result<Vec<u8>> {
        let time = |data_type: &DataType| cast(&Int64Array::from_value(time_us, 1), data_type);
        let first: ArrayRef = match field.data_type() {
            DataType::Struct(fields) => {
                let mut columns = Vec::new();
                for (place, field) in fields.iter().enumerate() {
                    columns.push(match place {
                        0 => time(field.data_type())?,
                        _ => new_null_array(field.data_type(), 1),
                    });
                }
                Arc::new(StructArray::new(fields.clone(), columns, None))
            }
            data_type => time(data_type)?,
        };
        let format = RowFormat::new(vec![(0, field.clone())])?;
        Ok(format.encode_columns(&[first])?)
    }

    fn decode(&self, pairs: &Pairs) -> Result<RecordBatch> {
        let keys = self.keys.decode(pairs.iter().map(|(key, _)| key.as_ref()))?;
        let values = self.values.decode(pairs.iter().map(|(_, value)| value.as_ref()))?;
        let places = self.keys.places().iter().chain(self.values.places()).copied();
        with_columns(&self.schema, places.zip(keys.into_iter().chain(values)).collect(), pairs.len())
    }
}

impl Groups for GroupState {
    fn description(&self) -> StateDescription {
        StateDescription { keys: self.keys.describe(), values: self.values.describe() }
    }

    fn without_late(&self, groups: Vec<RecordBatch>, late_ms: i64) -> Result<(Vec<RecordBatch>, u64)> {
        match &self.event_time {
            None => Ok((groups, 0)),
            Some((event_time, _)) => {
                let ends = |groups: &RecordBatch| ends(*event_time, groups.column(event_time.column));
                in_time(groups, late_ms, ends, &self.keys)
            }
        }
    }

    fn with_known(&self, state: &mut StateStore, groups: Vec<RecordBatch>) -> Result<WithKnown> {
        let mut known = self.lookup(state, &groups)?;
        known.extend(groups);
        Ok(WithKnown { groups: known, replaced: 0 })
    }

    fn put(&self, state: &mut StateStore, groups: &[RecordBatch]) -> Result<()> {
        for batch in groups {
            let (keys, values) = (self.keys.encode(batch)?, self.values.encode(batch)?);
            for (key, value) in keys.iter().zip(values.iter()) {
                state.put(key, value).map_err(state_error)?;
            }
        }
        Ok(())
    }

    fn all(&self, state: &StateStore) -> Result<Vec<RecordBatch>> {
        decode_all(state.range(Bound::Unbounded, Bound::Unbounded), |pairs| self.decode(pairs))
    }

    fn take_passed(&self, state: &mut StateStore, eviction_ms: i64) -> Result<Option<RecordBatch>> {
        let Some((keys, groups)) = self.passed(state, eviction_ms)? else {
            return Ok(None);
        };
        state.remove_found(keys).map_err(state_error)?;
        Ok(Some(groups))
    }

    fn count(&self, state: &mut StateStore) -> Result<u64> {
        state.count().map_err(state_error)
    }
}

/// The rows of a scan, some at a time.
pub(super) fn decode_all(
    mut rows: Scan<'_>,
    decode: impl Fn(&Pairs) -> Result<RecordBatch>,
) -> Result<Vec<RecordBatch>> {
    let mut all = Vec::new();
    while let Some(pairs) = next_pairs(&mut rows)? {
        all.push(decode(&pairs)?);
    }
    Ok(all)
}

fn next_pairs(rows: &mut Scan<'_>) -> Result<Option<Pairs>> {
    let pairs: Pairs =
        rows.by_ref().take(ROWS).collect::<std::result::Result<_, _>>().map_err(state_error)?;
    Ok(Some(pairs).filter(|pairs| !pairs.is_empty()))
}

/// Columns by their places, in the order of the schema.
pub(super) fn with_columns(
    schema: &SchemaRef,
    mut columns: Vec<(usize, ArrayRef)>,
    rows: usize,
) -> Result<RecordBatch> {
    columns.sort_unstable_by_key(|(place, _)| *place);
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// The rows that end after the watermark, and how many groups do not. `ends` are microseconds.
pub(super) fn in_time(
    groups: Vec<RecordBatch>,
    late_ms: i64,
    ends: impl Fn(&RecordBatch) -> Result<Int64Array>,
    keys: &RowFormat,
) -> Result<(Vec<RecordBatch>, u64)> {
    let late_us = late_ms.saturating_mul(1_000);
    let mut late = BTreeSet::new();
    let mut kept = Vec::new();
    for batch in groups {
        let ends = ends(&batch)?;
        let in_time: BooleanArray =
            ends.iter().map(|end| Some(end.is_none_or(|end| end > late_us))).collect();
        if in_time.true_count() == batch.num_rows() {
            kept.push(batch);
            continue;
        }
        let dropped = keys.encode(&filter_record_batch(&batch, &not(&in_time)?)?)?;
        late.extend(dropped.iter().map(<[u8]>::to_vec));
        kept.push(filter_record_batch(&batch, &in_time)?);
    }
    Ok((kept, late.len() as u64))
}
