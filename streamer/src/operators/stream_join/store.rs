//! What a join remembers: the rows of both sides by key, and by when the watermark is done with them.
//!
//! Entries: `L` or `R`, key, number: whether the row has had a partner, and the row; `l` or `r`, end, key, number: nothing;
//! `N`: the next number and how many rows there are.

use std::ops::{Bound, Range};

use bytes::Bytes;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};

use super::side::Half;
use crate::operators::context::state_error;
use crate::operators::expiry;
use crate::operators::group_state::ROWS;
use crate::state::{RowFormat, StateStore};

const COUNTS: &[u8] = b"N";
const NUMBER_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinSide {
    Left,
    Right,
}

impl JoinSide {
    const fn rows(self) -> u8 {
        match self {
            JoinSide::Left => b'L',
            JoinSide::Right => b'R',
        }
    }

    const fn ends(self) -> u8 {
        match self {
            JoinSide::Left => b'l',
            JoinSide::Right => b'r',
        }
    }
}

pub(super) struct JoinStore {
    store: StateStore,
    next_number: u64,
    rows: u64,
    /// For keys and values, so that a row costs no allocation.
    name: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Rows of one side that the state has, by the groups that asked for them.
pub(super) struct StoredRows {
    pub(super) half: Half,
    pub(super) groups: Vec<Range<usize>>,
    entries: Vec<(Bytes, Bytes)>,
}

impl StoredRows {
    /// The rows that have found their first partner in this batch.
    pub(super) fn newly_matched(&self) -> impl Iterator<Item = (u32, &(Bytes, Bytes))> {
        let rows = (0..).zip(&self.half.matched).zip(&self.entries);
        rows.filter(|((_, matched), (_, value))| **matched && !was_matched(value))
            .map(|((row, _), entry)| (row, entry))
    }
}

fn was_matched(value: &[u8]) -> bool {
    value.first() == Some(&1)
}

fn row_of(value: &[u8]) -> &[u8] {
    value.get(1..).unwrap_or_default()
}

impl JoinStore {
    pub(super) fn new(store: StateStore) -> Result<JoinStore> {
        let counts = store.get(COUNTS).map_err(state_error)?;
        let (next_number, rows) = counts.as_deref().map_or(Ok((0, 0)), read_counts)?;
        Ok(JoinStore { store, next_number, rows, name: Vec::new(), key: Vec::new(), value: Vec::new() })
    }

    /// How many rows of both sides there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn finish(mut self) -> Result<StateStore> {
        let counts = [self.next_number.to_be_bytes(), self.rows.to_be_bytes()].concat();
        self.store.put(COUNTS, &counts).map_err(state_error)?;
        Ok(self.store)
    }

    /// The rows of one side with these keys.
    pub(super) fn stored<'a>(
        &self,
        side: JoinSide,
        keys: impl Iterator<Item = &'a [u8]>,
        format: &RowFormat,
        schema: &SchemaRef,
    ) -> Result<StoredRows> {
        let (mut entries, mut groups) = (Vec::new(), Vec::new());
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for key in keys {
            from.clear();
            from.push(side.rows());
            from.extend_from_slice(key);
            to.clone_from(&from);
            to.extend_from_slice(&[u8::MAX; NUMBER_BYTES]);
            let start = entries.len();
            for entry in self.store.range(Bound::Included(&from), Bound::Included(&to)) {
                entries.push(entry.map_err(state_error)?);
            }
            groups.push(start..entries.len());
        }
        let count = u32::try_from(entries.len()).map_err(|_| damaged())?;
        let rows = decode(entries.iter().map(|(_, value)| value.as_ref()), format, schema, entries.len())?;
        let matched = entries.iter().map(|(_, value)| was_matched(value)).collect();
        Ok(StoredRows { half: Half { rows, order: (0..count).collect(), matched }, groups, entries })
    }

    pub(super) fn put(
        &mut self,
        side: JoinSide,
        key: &[u8],
        row: &[u8],
        end_us: Option<i64>,
        matched: bool,
    ) -> Result<()> {
        self.name.clear();
        self.name.extend_from_slice(key);
        self.name.extend_from_slice(&self.next_number.to_be_bytes());
        self.next_number += 1;
        self.rows += 1;
        self.key.clear();
        self.key.push(side.rows());
        self.key.extend_from_slice(&self.name);
        self.value.clear();
        self.value.push(u8::from(matched));
        self.value.extend_from_slice(row);
        self.store.put(&self.key, &self.value).map_err(state_error)?;
        if let Some(end_us) = end_us {
            expiry::write_key(&mut self.key, side.ends(), end_us, &self.name);
            self.store.put(&self.key, &[]).map_err(state_error)?;
        }
        Ok(())
    }

    /// Remembers which rows have found a partner.
    pub(super) fn mark(&mut self, stored: &StoredRows) -> Result<()> {
        for (_, (key, value)) in stored.newly_matched() {
            self.value.clear();
            self.value.push(1);
            self.value.extend_from_slice(row_of(value));
            self.store.put(key, &self.value).map_err(state_error)?;
        }
        Ok(())
    }

    /// Some of a side's rows that end by then, which leave the state: how many, and those that never had a partner if they
    /// are asked for. `None` when there are no more.
    pub(super) fn take_passed(
        &mut self,
        side: JoinSide,
        until_us: i64,
        unmatched: Option<(&RowFormat, &SchemaRef)>,
    ) -> Result<Option<(u64, Option<RecordBatch>)>> {
        let passed = expiry::passed(side.ends(), until_us);
        let passed = self.store.range(Bound::Included(&passed.start), Bound::Excluded(&passed.end));
        let ends: Vec<_> = passed.take(ROWS).collect::<std::result::Result<_, _>>().map_err(state_error)?;
        if ends.is_empty() {
            return Ok(None);
        }
        let row_key = |end: &[u8]| Ok([&[side.rows()], expiry::name_in(end)?].concat());
        let mut keys = ends.iter().map(|(end, _)| row_key(end)).collect::<Result<Vec<_>>>()?;
        keys.sort_unstable();
        let unmatched =
            unmatched.map(|(format, schema)| self.unmatched(&keys, format, schema)).transpose()?;
        for key in keys.iter().map(Vec::as_slice).chain(ends.iter().map(|(end, _)| end.as_ref())) {
            self.store.remove(key).map_err(state_error)?;
        }
        let count = ends.len() as u64;
        self.rows = self.rows.saturating_sub(count);
        Ok(Some((count, unmatched)))
    }

    fn unmatched(&self, keys: &[Vec<u8>], format: &RowFormat, schema: &SchemaRef) -> Result<RecordBatch> {
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        let values = self.store.get_many(&keys).map_err(state_error)?;
        let values: Vec<_> = values.into_iter().flatten().filter(|value| !was_matched(value)).collect();
        decode(values.iter().map(AsRef::as_ref), format, schema, values.len())
    }
}

fn decode<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    format: &RowFormat,
    schema: &SchemaRef,
    count: usize,
) -> Result<RecordBatch> {
    let columns = format.decode(values.map(row_of))?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

fn read_counts(counts: &[u8]) -> Result<(u64, u64)> {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| damaged());
    let (next_number, rows) = counts.split_at_checked(NUMBER_BYTES).ok_or_else(damaged)?;
    Ok((number(next_number)?, number(rows)?))
}

fn damaged() -> DataFusionError {
    DataFusionError::Execution(
        "the state of a join is damaged; start the query with a new checkpoint".to_owned(),
    )
}
