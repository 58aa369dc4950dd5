//! The entries of `.index` files (offset to position) and `.timeindex` files (timestamp to offset).
//!
//! Offsets are relative to the segment's first one, four bytes each. Zeros behind the last entry are space allocated
//! ahead; only the first entry of an index may be zeros itself.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::dump::base_offset;
use super::segment::Damage;
use crate::exit::Failure;
use crate::output::Output;

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct OffsetEntry {
    offset: i64,
    position: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct TimeEntry {
    timestamp_ms: i64,
    offset: i64,
}

/// Answers how many entries are out of order.
pub(super) fn dump_offsets(path: &Path, output: &mut Output) -> Result<u64, Failure> {
    let (base_offset, bytes) = (base_offset(path)?, read(path)?);
    let (entries, _) = bytes.as_chunks::<OFFSET_ENTRY_BYTES>();
    let entries = used(entries).iter().map(|entry| {
        let [o0, o1, o2, o3, p0, p1, p2, p3] = *entry;
        let offset = base_offset + i64::from(i32::from_be_bytes([o0, o1, o2, o3]));
        OffsetEntry { offset, position: i32::from_be_bytes([p0, p1, p2, p3]) }
    });
    let grows =
        |last: &OffsetEntry, next: &OffsetEntry| next.offset > last.offset && next.position > last.position;
    print(path, OFFSET_ENTRY_BYTES, entries, grows, output)
}

/// Answers how many entries are out of order.
pub(super) fn dump_times(path: &Path, output: &mut Output) -> Result<u64, Failure> {
    let (base_offset, bytes) = (base_offset(path)?, read(path)?);
    let (entries, _) = bytes.as_chunks::<TIME_ENTRY_BYTES>();
    let entries = used(entries).iter().map(|entry| {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] = *entry;
        let offset = base_offset + i64::from(i32::from_be_bytes([o0, o1, o2, o3]));
        TimeEntry { timestamp_ms: i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]), offset }
    });
    let grows = |last: &TimeEntry, next: &TimeEntry| {
        next.offset >= last.offset && next.timestamp_ms >= last.timestamp_ms
    };
    print(path, TIME_ENTRY_BYTES, entries, grows, output)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::File { path: path.to_owned(), error })
}

/// The entries without the zeros behind them.
fn used<const BYTES: usize>(entries: &[[u8; BYTES]]) -> &[[u8; BYTES]] {
    let used = entries.iter().rposition(|entry| *entry != [0; BYTES]).map_or(0, |last| last + 1);
    entries.get(..used).unwrap_or_default()
}

fn print<E: fmt::Display + Serialize>(
    path: &Path,
    entry_bytes: usize,
    entries: impl Iterator<Item = E>,
    grows: impl Fn(&E, &E) -> bool,
    output: &mut Output,
) -> Result<u64, Failure> {
    let (mut last, mut damaged) = (None, 0);
    for (number, entry) in entries.enumerate() {
        output.print(&entry)?;
        if last.as_ref().is_some_and(|last| !grows(last, &entry)) {
            let damage = "the entry is not behind the one before it".to_owned();
            output.print(&Damage { file: path, position: (number * entry_bytes) as u64, damage })?;
            damaged += 1;
        }
        last = Some(entry);
    }
    Ok(damaged)
}

impl fmt::Display for OffsetEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset: {} position: {}", self.offset, self.position)
    }
}

impl fmt::Display for TimeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timestamp: {} offset: {}", self.timestamp_ms, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zeros_behind_the_last_entry_are_no_entries() {
        assert_eq!(used(&[[0, 0], [1, 0], [0, 0]]), [[0, 0], [1, 0]]);
        assert_eq!(used::<2>(&[[0, 0]; 3]), <[[u8; 2]; 0]>::default());
    }
}
