//! Sessions of an aggregation by `session_window(…)` in a state store. Spark's `SessionWindowStateStoreSaveExec` and
//! `MergingSessionsExec`.
//!
//! A row that arrives is alone in its session. Sessions of one key that touch become one, those in the state
//! included. The store has two kinds of entries: `S`, key, session with the partial states; and `E`, end, key,
//! session without a value, by which the sessions are found that the watermark has passed.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, RecordBatch, StructArray,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};

use super::context::state_error;
use super::event_time::is_session;
use super::group_state::{Groups, ROWS, WithKnown, decode_all, in_time, with_columns};
use crate::state::{RowFormat, StateDescription, StateStore};

const SESSION: u8 = b'S';
const END: u8 = b'E';

pub(super) struct SessionState {
    schema: SchemaRef,
    /// The place of the session among the grouping columns.
    session: usize,
    /// The other grouping columns.
    keys: RowFormat,
    sessions: RowFormat,
    values: RowFormat,
}

impl SessionState {
    /// `None` if no grouping column is a session. The first `keys` columns of the schema are the grouping columns.
    pub(super) fn new(schema: &SchemaRef, keys: usize) -> Result<Option<SessionState>> {
        let fields: Vec<_> = schema.fields().iter().cloned().enumerate().collect();
        let (grouping, values) = fields.split_at_checked(keys).unwrap_or((&fields, &[]));
        let Some(session) = grouping.iter().position(|(_, field)| is_session(field)) else {
            return Ok(None);
        };
        let mut keys = grouping.to_vec();
        let window = keys.remove(session);
        if keys.is_empty() {
            let message =
                "Global aggregation with session window in streaming query is not supported. SQLSTATE: XXKST";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        Ok(Some(SessionState {
            schema: schema.clone(),
            session,
            keys: RowFormat::new(keys)?,
            sessions: RowFormat::new(vec![window])?,
            values: RowFormat::new(values.to_vec())?,
        }))
    }

    /// All sessions of these keys, which leave the state.
    fn take_known(&self, state: &mut StateStore, keys: &[Vec<u8>]) -> Result<Option<RecordBatch>> {
        let mut pairs = Vec::new();
        for key in keys {
            for pair in state.prefix(&prefixed(SESSION, key)) {
                pairs.push(pair.map_err(state_error)?);
            }
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let known = self.decode(&pairs)?;
        for ((key, _), end) in pairs.iter().zip(&self.ends(&known)?) {
            state.remove_found([key.as_ref(), &by_end(end, key)]).map_err(state_error)?;
        }
        Ok(Some(known))
    }

    fn ends(&self, groups: &RecordBatch) -> Result<Int64Array> {
        let (_, end) = bounds(groups.column(self.session))?;
        Ok(end.iter().collect())
    }

    fn decode(&self, pairs: &[(Bytes, Bytes)]) -> Result<RecordBatch> {
        let whole = RowFormat::concat(&self.keys, &self.sessions)?;
        let keys = whole.decode(pairs.iter().map(|(key, _)| key.get(1..).unwrap_or_default()))?;
        let values = self.values.decode(pairs.iter().map(|(_, value)| value.as_ref()))?;
        let places = whole.places().iter().chain(self.values.places()).copied();
        with_columns(&self.schema, places.zip(keys.into_iter().chain(values)).collect(), pairs.len())
    }

    /// Gives rows of one key whose sessions touch the same session.
    fn merge_sessions(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.keys.encode(rows)?;
        let column = rows.column(self.session);
        let (start, end) = bounds(column)?;
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        order.sort_by_key(|row| (keys.get(*row), start.value(*row)));
        let (mut starts, mut ends) = (start.values().to_vec(), end.values().to_vec());
        for session in touching(&order, |row| (keys.get(row), start.value(row), end.value(row))) {
            let (from, to) = session.bounds;
            for row in session.rows {
                if let (Some(start), Some(end)) = (starts.get_mut(*row), ends.get_mut(*row)) {
                    (*start, *end) = (from, to);
                }
            }
        }
        let time = |values: Vec<i64>, like: &Times| -> ArrayRef {
            Arc::new(Times::from(values).with_data_type(like.data_type().clone()))
        };
        let windows = column.as_struct_opt().ok_or_else(no_session)?;
        let merged = StructArray::try_new(
            windows.fields().clone(),
            vec![time(starts, &start), time(ends, &end)],
            windows.nulls().cloned(),
        )?;
        let mut columns = rows.columns().to_vec();
        if let Some(column) = columns.get_mut(self.session) {
            *column = Arc::new(merged);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl Groups for SessionState {
    fn description(&self) -> StateDescription {
        let keys = [self.keys.describe(), self.sessions.describe()].concat();
        StateDescription { keys, values: self.values.describe() }
    }

    /// Late rows are dropped in each output mode.
    fn without_late(&self, groups: Vec<RecordBatch>, late_ms: i64) -> Result<(Vec<RecordBatch>, u64)> {
        let whole = RowFormat::concat(&self.keys, &self.sessions)?;
        in_time(groups, late_ms, |groups| self.ends(groups), &whole)
    }

    fn with_known(&self, state: &mut StateStore, groups: Vec<RecordBatch>) -> Result<WithKnown> {
        let arrived = concat_batches(&self.schema, &groups)?;
        if arrived.num_rows() == 0 {
            return Ok(WithKnown::default());
        }
        let mut keys: Vec<_> = self.keys.encode(&arrived)?.iter().map(<[u8]>::to_vec).collect();
        keys.sort_unstable();
        keys.dedup();
        let known = self.take_known(state, &keys)?;
        let rows = concat_batches(&self.schema, known.iter().chain([&arrived]))?;
        let merged = self.merge_sessions(&rows)?;
        let known_rows = known.map_or(0, |known| known.num_rows());
        let (before, _) = bounds(rows.column(self.session))?;
        let (after, _) = bounds(merged.column(self.session))?;
        let starts = before.values().iter().zip(after.values()).take(known_rows);
        let replaced = starts.filter(|(before, after)| before != after).count() as u64;
        Ok(WithKnown { groups: vec![merged], replaced })
    }

    fn put(&self, state: &mut StateStore, groups: &[RecordBatch]) -> Result<()> {
        for batch in groups {
            let keys = self.keys.encode(batch)?;
            let (sessions, values) = (self.sessions.encode(batch)?, self.values.encode(batch)?);
            for (row, end) in self.ends(batch)?.iter().enumerate() {
                let key = [&prefixed(SESSION, keys.get(row))[..], sessions.get(row)].concat();
                state.put(&key, values.get(row)).map_err(state_error)?;
                state.put(&by_end(end, &key), &[]).map_err(state_error)?;
            }
        }
        Ok(())
    }

    fn all(&self, state: &StateStore) -> Result<Vec<RecordBatch>> {
        decode_all(state.range(Bound::Included(&[SESSION]), Bound::Unbounded), |pairs| self.decode(pairs))
    }

    fn take_passed(&self, state: &mut StateStore, eviction_ms: i64) -> Result<Option<RecordBatch>> {
        let to = by_end(Some(eviction_ms.saturating_mul(1_000).saturating_add(1)), &[]);
        let passed = state.range(Bound::Included(&[END]), Bound::Excluded(&to)).take(ROWS);
        let passed: Vec<_> = passed.collect::<std::result::Result<_, _>>().map_err(state_error)?;
        let mut pairs = Vec::new();
        for (entry, _) in passed {
            let key = entry.slice((1 + size_of::<i64>()).min(entry.len())..);
            let value = state.get(&key).map_err(state_error)?.unwrap_or_default();
            state.remove_found([&entry, &key]).map_err(state_error)?;
            pairs.push((key, value));
        }
        if pairs.is_empty() { Ok(None) } else { self.decode(&pairs).map(Some) }
    }

    fn count(&self, state: &mut StateStore) -> Result<u64> {
        Ok(state.count().map_err(state_error)? / 2)
    }
}

type Times = PrimitiveArray<TimestampMicrosecondType>;

fn bounds(sessions: &ArrayRef) -> Result<(Times, Times)> {
    let sessions = sessions.as_struct_opt().ok_or_else(no_session)?;
    let bound = |name: &str| {
        let column = sessions.column_by_name(name).ok_or_else(no_session)?;
        column.as_primitive_opt::<TimestampMicrosecondType>().cloned().ok_or_else(no_session)
    };
    Ok((bound("start")?, bound("end")?))
}

fn no_session() -> DataFusionError {
    DataFusionError::Internal("a session without its start or its end".to_owned())
}

fn prefixed(kind: u8, key: &[u8]) -> Vec<u8> {
    [&[kind], key].concat()
}

/// An entry of its session's end; sorted as the ends are.
fn by_end(end: Option<i64>, key: &[u8]) -> Vec<u8> {
    let sortable = end.unwrap_or(i64::MAX).cast_unsigned() ^ (1 << 63);
    [&[END][..], &sortable.to_be_bytes(), key].concat()
}

struct Touching<'a> {
    rows: &'a [usize],
    bounds: (i64, i64),
}

/// Runs of rows, which are sorted by key and start, whose sessions touch.
fn touching<'a, K: PartialEq>(order: &'a [usize], of: impl Fn(usize) -> (K, i64, i64)) -> Vec<Touching<'a>> {
    let mut runs = Vec::new();
    let mut rest = order;
    while let Some(first) = rest.first() {
        let (key, start, mut end) = of(*first);
        let mut length = 1;
        while let Some(next) = rest.get(length) {
            let (next_key, next_start, next_end) = of(*next);
            if next_key != key || next_start > end {
                break;
            }
            end = end.max(next_end);
            length += 1;
        }
        let (rows, others) = rest.split_at(length);
        runs.push(Touching { rows, bounds: (start, end) });
        rest = others;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_touch_are_one() {
        let rows = [("a", 0, 5), ("a", 5, 10), ("a", 11, 16), ("a", 12, 13), ("b", 12, 20)];
        let order: Vec<_> = (0..rows.len()).collect();
        let runs = touching(&order, |row| rows[row]);
        let found: Vec<_> = runs.iter().map(|run| (run.rows.len(), run.bounds)).collect();
        assert_eq!(found, [(2, (0, 10)), (2, (11, 16)), (1, (12, 20))]);
    }

    #[test]
    fn entries_of_ends_sort_as_the_ends_do() {
        let entries = [None, Some(7), Some(-3), Some(i64::MIN), Some(0)].map(|end| by_end(end, b"k"));
        let mut sorted = entries.to_vec();
        sorted.sort();
        assert_eq!(sorted, [3, 2, 4, 1, 0].map(|place| entries[place].clone()));
    }
}
