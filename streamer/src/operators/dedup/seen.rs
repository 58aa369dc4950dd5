//! The keys that have been seen, in a state store.
//!
//! Entries: `K`, key: nothing; `e`, end, key: nothing, by which the keys are found that the watermark has passed; `N`: how
//! many keys there are.

use std::ops::Bound;

use datafusion::arrow::array::BooleanArray;
use datafusion::error::{DataFusionError, Result};

use crate::operators::context::state_error;
use crate::operators::expiry;
use crate::operators::group_state::ROWS;
use crate::state::{EncodedRows, StateStore};

const KEY: u8 = b'K';
const END: u8 = b'e';
const COUNT: &[u8] = b"N";

pub(super) struct SeenKeys {
    store: StateStore,
    count: u64,
    buffer: Vec<u8>,
}

impl SeenKeys {
    pub(super) fn new(store: StateStore) -> Result<SeenKeys> {
        let count = match store.get(COUNT).map_err(state_error)? {
            None => 0,
            Some(count) => {
                let count: &[u8] = count.as_ref();
                count.try_into().map(u64::from_be_bytes).map_err(|_| damaged())?
            }
        };
        Ok(SeenKeys { store, count, buffer: Vec::new() })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn finish(mut self) -> Result<StateStore> {
        self.store.put(COUNT, &self.count.to_be_bytes()).map_err(state_error)?;
        Ok(self.store)
    }

    /// Which rows are the first of their key; their keys are remembered, until `end_us` if there is such a time.
    pub(super) fn first(
        &mut self,
        keys: &EncodedRows,
        end_us: impl Fn(usize) -> Option<i64>,
    ) -> Result<BooleanArray> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|row| keys.get(*row));
        let firsts = order.chunk_by(|left, right| keys.get(*left) == keys.get(*right));
        // The sort is stable, and so the first row of a key is the first of its chunk.
        let firsts: Vec<usize> = firsts.filter_map(|rows| rows.first().copied()).collect();
        let names: Vec<_> = firsts.iter().map(|row| [&[KEY], keys.get(*row)].concat()).collect();
        let lookups: Vec<_> = names.iter().map(Vec::as_slice).collect();
        let known = self.store.get_many(&lookups).map_err(state_error)?;
        let mut is_first = vec![false; keys.len()];
        for ((row, name), known) in firsts.iter().zip(&names).zip(known) {
            if known.is_some() {
                continue;
            }
            if let Some(is_first) = is_first.get_mut(*row) {
                *is_first = true;
            }
            self.store.put(name, &[]).map_err(state_error)?;
            self.count += 1;
            if let Some(end_us) = end_us(*row) {
                expiry::write_key(&mut self.buffer, END, end_us, keys.get(*row));
                self.store.put(&self.buffer, &[]).map_err(state_error)?;
            }
        }
        Ok(BooleanArray::from(is_first))
    }

    /// Forgets the keys that end by then, and returns how many they were.
    pub(super) fn forget(&mut self, until_us: i64) -> Result<u64> {
        let passed = expiry::passed(END, until_us);
        let mut forgotten = 0;
        loop {
            let ends =
                self.store.range(Bound::Included(&passed.start), Bound::Excluded(&passed.end)).take(ROWS);
            let ends: Vec<_> = ends.collect::<std::result::Result<_, _>>().map_err(state_error)?;
            if ends.is_empty() {
                self.count = self.count.saturating_sub(forgotten);
                return Ok(forgotten);
            }
            for (end, _) in &ends {
                let name = [&[KEY], expiry::name_in(end)?].concat();
                self.store.remove_found([&name, end.as_ref()]).map_err(state_error)?;
            }
            forgotten += ends.len() as u64;
        }
    }
}

fn damaged() -> DataFusionError {
    let message = "the state of a deduplication is damaged; start the query with a new checkpoint";
    DataFusionError::Execution(message.to_owned())
}
