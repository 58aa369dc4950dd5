//! The groups of an aggregation in a state store: the key is the grouping columns, the value the partial states.
//!
//! The event time stands first in the key, so that what the watermark is done with lies together.

use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};

use super::context::state_error;
use super::event_time::{EventTimeKey, EventTimeKind};
use crate::state::{RowFormat, StateDescription, StateStore};

/// Rows that are decoded at a time.
const ROWS: usize = 8_192;

pub(super) struct GroupState {
    schema: SchemaRef,
    keys: RowFormat,
    values: RowFormat,
    event_time: Option<(EventTimeKey, FieldRef)>,
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

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

    pub(super) fn description(&self) -> StateDescription {
        StateDescription { keys: self.keys.describe(), values: self.values.describe() }
    }

    /// The groups that the watermark has not passed, and how many it has.
    pub(super) fn without_late(
        &self,
        groups: Vec<RecordBatch>,
        late_ms: i64,
    ) -> Result<(Vec<RecordBatch>, u64)> {
        let Some((event_time, _)) = &self.event_time else {
            return Ok((groups, 0));
        };
        let mut dropped = 0;
        let mut kept = Vec::new();
        for batch in groups {
            let end = ends(*event_time, batch.column(event_time.column))?;
            let late_us = late_ms.saturating_mul(1_000);
            let in_time: BooleanArray =
                end.iter().map(|end| Some(end.is_none_or(|end| end > late_us))).collect();
            dropped += (in_time.len() - in_time.true_count()) as u64;
            kept.push(filter_record_batch(&batch, &in_time)?);
        }
        Ok((kept, dropped))
    }

    /// What the state has of these groups.
    pub(super) fn lookup(&self, state: &StateStore, groups: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let mut known = Vec::new();
        for batch in groups {
            let keys = self.keys.encode(batch)?;
            let mut sorted: Vec<_> = keys.iter().collect();
            sorted.sort_unstable();
            let values = state.get_many(&sorted).map_err(state_error)?;
            let pairs = sorted.iter().zip(values).filter_map(|(key, value)| Some((key.to_vec(), value?)));
            let pairs: Pairs = pairs.collect();
            if !pairs.is_empty() {
                known.push(self.decode(&pairs)?);
            }
        }
        Ok(known)
    }

    pub(super) fn put(&self, state: &mut StateStore, groups: &[RecordBatch]) -> Result<()> {
        for batch in groups {
            let (keys, values) = (self.keys.encode(batch)?, self.values.encode(batch)?);
            for (key, value) in keys.iter().zip(values.iter()) {
                state.put(key, value).map_err(state_error)?;
            }
        }
        Ok(())
    }

    pub(super) fn all(&self, state: &StateStore) -> Result<Vec<RecordBatch>> {
        let mut rows = state.range(Bound::Unbounded, Bound::Unbounded);
        let mut all = Vec::new();
        loop {
            let pairs: Pairs =
                rows.by_ref().take(ROWS).collect::<std::result::Result<_, _>>().map_err(state_error)?;
            if pairs.is_empty() {
                return Ok(all);
            }
            all.push(self.decode(&pairs)?);
        }
    }

    /// Removes the groups that the watermark has passed, and returns how many they were. `take` gets them.
    pub(super) fn evict(
        &self,
        state: &mut StateStore,
        eviction_ms: i64,
        take: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let mut evicted = 0;
        loop {
            let pairs = self.passed(state, eviction_ms)?;
            if pairs.is_empty() {
                return Ok(evicted);
            }
            evicted += pairs.len() as u64;
            for (key, _) in &pairs {
                state.remove(key).map_err(state_error)?;
            }
            take(self.decode(&pairs)?)?;
        }
    }

    /// Some of the groups that the watermark has passed.
    fn passed(&self, state: &StateStore, eviction_ms: i64) -> Result<Pairs> {
        let Some((event_time, field)) = &self.event_time else {
            return Ok(Pairs::new());
        };
        let watermark_us = eviction_ms.saturating_mul(1_000);
        let window_us = match event_time.kind {
            EventTimeKind::Instant { window_us } => window_us,
            // A window has begun before it ends.
            EventTimeKind::Window => 0,
        };
        let from = self.bound(field, i64::MIN)?;
        let to = self.bound(field, watermark_us.saturating_sub(window_us).saturating_add(1))?;
        let candidates = state.range(Bound::Included(&from), Bound::Excluded(&to));
        if event_time.kind != EventTimeKind::Window {
            return candidates.take(ROWS).collect::<std::result::Result<_, _>>().map_err(state_error);
        }
        let mut passed = Pairs::new();
        for pair in candidates {
            let (key, value) = pair.map_err(state_error)?;
            let columns = self.keys.decode(std::iter::once(key.as_slice()))?;
            let window = columns.first().ok_or_else(no_key)?;
            let end = ends(*event_time, window)?;
            if !end.is_empty() && end.is_valid(0) && end.value(0) <= watermark_us {
                passed.push((key, value));
            }
            if passed.len() == ROWS {
                break;
            }
        }
        Ok(passed)
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
        let keys = self.keys.decode(pairs.iter().map(|(key, _)| key.as_slice()))?;
        let values = self.values.decode(pairs.iter().map(|(_, value)| value.as_slice()))?;
        let places = self.keys.places().iter().chain(self.values.places());
        let mut columns: Vec<_> = places.copied().zip(keys.into_iter().chain(values)).collect();
        columns.sort_unstable_by_key(|(place, _)| *place);
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn no_key() -> DataFusionError {
    DataFusionError::Internal("a key without its event time".to_owned())
}

/// When the watermark is done with each row, in microseconds.
fn ends(event_time: EventTimeKey, column: &ArrayRef) -> Result<Int64Array> {
    let (times, window_us) = match event_time.kind {
        EventTimeKind::Instant { window_us } => (column.clone(), window_us),
        EventTimeKind::Window => {
            let windows = column.as_struct_opt().ok_or_else(no_key)?;
            let end = windows.column_by_name("end").ok_or_else(no_key)?;
            (end.clone(), 0)
        }
    };
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(no_key)?;
    Ok(times.iter().map(|time| time.map(|time| time.saturating_add(window_us))).collect())
}
