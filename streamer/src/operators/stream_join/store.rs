//! What a join remembers: the rows of both sides by key, and by when the watermark is done with them.
//!
//! Entries: `L` or `R`, key: which rows of the key there are; `L` or `R`, key, number: whether the row has had a partner, and
//! the row; `l` or `r`, end, key, number: nothing; `N`: how many rows there are. So rows are found by looking up keys, of
//! which the state store finds many at once.

use std::ops::{Bound, Range};

use bytes::Bytes;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};

use super::row_numbers::RowNumbers;
use super::side::Half;
use crate::operators::context::state_error;
use crate::operators::expiry;
use crate::operators::group_state::ROWS;
use crate::state::{RowFormat, StateStore};

const COUNT: &[u8] = b"N";

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
    rows: u64,
    /// For keys and values, so that a row costs no allocation.
    name: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Rows of one side that the state has, by the keys that asked for them.
pub(super) struct StoredRows {
    pub(super) half: Half,
    pub(super) groups: Vec<Range<usize>>,
    entries: Vec<(Vec<u8>, Bytes)>,
}

impl StoredRows {
    /// The rows that have found their first partner in this batch.
    fn newly_matched(&self) -> impl Iterator<Item = (u32, &(Vec<u8>, Bytes))> {
        let rows = (0..).zip(&self.half.matched).zip(&self.entries);
        rows.filter(|((_, matched), (_, value))| **matched && !was_matched(value))
            .map(|((row, _), entry)| (row, entry))
    }

    pub(super) fn newly_matched_rows(&self) -> Vec<u32> {
        self.newly_matched().map(|(row, _)| row).collect()
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
        let rows = match store.get(COUNT).map_err(state_error)? {
            None => 0,
            Some(count) => count.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| damaged())?,
        };
        Ok(JoinStore { store, rows, name: Vec::new(), key: Vec::new(), value: Vec::new() })
    }

    /// How many rows of both sides there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn finish(mut self) -> Result<StateStore> {
        self.store.put(COUNT, &self.rows.to_be_bytes()).map_err(state_error)?;
        Ok(self.store)
    }

    /// Which rows of these keys there are; the keys are sorted.
    pub(super) fn numbers<'a>(
        &self,
        side: JoinSide,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<RowNumbers>> {
        let keys: Vec<_> = keys.map(|key| [&[side.rows()], key].concat()).collect();
        let numbers = self.get_many(&keys)?.into_iter();
        numbers
            .map(|value| value.map_or(Ok(RowNumbers::default()), |value| RowNumbers::read(&value)))
            .collect()
    }

    /// The names of a key's rows, found by going through them.
    fn names(&self, side: JoinSide, key: &[u8], numbers: RowNumbers) -> Result<Vec<Vec<u8>>> {
        let Range { start, end } = numbers.all();
        let (from, to) = (row_key(side, key, start), row_key(side, key, end));
        let rows = self.store.range(Bound::Included(&from), Bound::Excluded(&to));
        rows.map(|row| Ok(row.map_err(state_error)?.0.to_vec())).collect()
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        self.store.get_many(&keys).map_err(state_error)
    }

    /// The rows of one side with these keys, which are sorted.
    pub(super) fn stored<'a>(
        &self,
        side: JoinSide,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
        format: &RowFormat,
        schema: &SchemaRef,
    ) -> Result<StoredRows> {
        let (mut names, mut of_keys) = (Vec::new(), Vec::new());
        for (key, numbers) in keys.clone().zip(self.numbers(side, keys)?) {
            let start = names.len();
            match numbers.is_sparse() {
                false => names.extend(numbers.all().map(|number| row_key(side, key, number))),
                true => names.extend(self.names(side, key, numbers)?),
            }
            of_keys.push(start..names.len());
        }
        let mut values = self.get_many(&names)?.into_iter();
        let mut names = names.into_iter();
        let (mut entries, mut groups) = (Vec::new(), Vec::new());
        for rows in of_keys {
            let start = entries.len();
            let found = names.by_ref().zip(values.by_ref()).take(rows.len());
            entries.extend(found.filter_map(|(name, value)| Some((name, value?))));
            groups.push(start..entries.len());
        }
        let count = u32::try_from(entries.len()).map_err(|_| damaged())?;
        let rows = decode(entries.iter().map(|(_, value)| value.as_ref()), format, schema, entries.len())?;
        let matched = entries.iter().map(|(_, value)| was_matched(value)).collect();
        Ok(StoredRows { half: Half { rows, order: (0..count).collect(), matched }, groups, entries })
    }

    /// Adds a row; `numbers` are those of its key, which are to be written when all its rows are.
    pub(super) fn put(
        &mut self,
        side: JoinSide,
        key: &[u8],
        numbers: &mut RowNumbers,
        row: &[u8],
        (end_us, matched): (Option<i64>, bool),
    ) -> Result<()> {
        self.name.clear();
        self.name.extend_from_slice(key);
        self.name.extend_from_slice(&numbers.add().to_be_bytes());
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

    pub(super) fn put_numbers(&mut self, side: JoinSide, key: &[u8], numbers: RowNumbers) -> Result<()> {
        self.key.clear();
        self.key.push(side.rows());
        self.key.extend_from_slice(key);
        match numbers.bytes() {
            Some(bytes) => self.store.put(&self.key, &bytes).map_err(state_error),
            None => self.store.remove(&self.key).map_err(state_error),
        }
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

    /// Some of a side's rows that end by then, which leave the state: how many, and those that never had a partner if
    /// they are asked for. `None` when there are no more.
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
        let mut names = ends.iter().map(|(end, _)| expiry::name_in(end)).collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        let keys: Vec<_> = names.iter().map(|name| [&[side.rows()], *name].concat()).collect();
        let unmatched =
            unmatched.map(|(format, schema)| self.unmatched(&keys, format, schema)).transpose()?;
        self.forget_numbers(side, &names)?;
        self.store.remove_found(&keys).map_err(state_error)?;
        self.store.remove_found(ends.iter().map(|(end, _)| end)).map_err(state_error)?;
        let count = ends.len() as u64;
        self.rows = self.rows.saturating_sub(count);
        Ok(Some((count, unmatched)))
    }

    fn unmatched(&self, keys: &[Vec<u8>], format: &RowFormat, schema: &SchemaRef) -> Result<RecordBatch> {
        let values = self.get_many(keys)?.into_iter().flatten();
        let values: Vec<_> = values.filter(|value| !was_matched(value)).collect();
        decode(values.iter().map(AsRef::as_ref), format, schema, values.len())
    }

    /// The names, which are sorted, are those of rows that leave.
    fn forget_numbers(&mut self, side: JoinSide, names: &[&[u8]]) -> Result<()> {
        let names = names.iter().map(|name| name.split_last_chunk().ok_or_else(damaged));
        let names: Vec<(&[u8], &[u8; 8])> = names.collect::<Result<_>>()?;
        let of_keys: Vec<_> = names.chunk_by(|left, right| left.0 == right.0).collect();
        let keys = of_keys.iter().filter_map(|names| names.first()).map(|(key, _)| *key);
        let all = self.numbers(side, keys.clone())?;
        for ((key, names), mut numbers) in keys.zip(&of_keys).zip(all) {
            names.iter().for_each(|(_, number)| numbers.remove(u64::from_be_bytes(**number)));
            self.put_numbers(side, key, numbers)?;
        }
        Ok(())
    }
}

fn row_key(side: JoinSide, key: &[u8], number: u64) -> Vec<u8> {
    [&[side.rows()], key, &number.to_be_bytes()].concat()
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

pub(super) fn damaged() -> DataFusionError {
    DataFusionError::Execution(
        "the state of a join is damaged; start the query with a new checkpoint".to_owned(),
    )
}
