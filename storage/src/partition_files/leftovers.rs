//! What the last broker, Ottla or Kafka, was doing to a partition's files when it ended. The rules are those of Kafka's
//! LogLoader.

use std::{collections::BTreeSet, io, ops::Range, sync::Arc};

use ottla_protocol::batch::BatchHeader;
use tracing::info;

use super::{FileKind, FileName, PartitionFiles, Suffix};
use crate::{
    disk::{self, DiskFile},
    map::Map,
};

/// Finishes or undoes it. Nothing in the directory may be in use. Returns the files that are there afterwards.
pub(crate) fn clear(files: &Arc<PartitionFiles>) -> io::Result<Vec<FileName>> {
    let mut names = files.list()?;
    if names.iter().any(|name| name.suffix != Suffix::None) {
        remove_where(files, &mut names, |name| name.suffix == Suffix::Deleted)?;
        remove_incomplete(files, &mut names)?;
        for swap in swapped_logs(&names) {
            remove_replaced(files, &mut names, swap)?;
        }
        take_names(files, &mut names)?;
        names.sort_unstable_by_key(|name| name.offset);
    }
    remove_orphans(files, &mut names)?;
    Ok(names)
}

/// A `.cleaned` is not complete, nor is a `.swap` at or behind one: a segment was being split into several. Those go
/// first, for without the `.cleaned` they would look complete.
fn remove_incomplete(files: &PartitionFiles, names: &mut Vec<FileName>) -> io::Result<()> {
    let cleaned = names.iter().filter(|name| name.suffix == Suffix::Cleaned);
    let Some(first_cleaned) = cleaned.map(|name| name.offset).min() else { return Ok(()) };
    remove_where(files, names, |name| name.suffix == Suffix::Swap && name.offset >= first_cleaned)?;
    remove_where(files, names, |name| name.suffix == Suffix::Cleaned)
}

fn swapped_logs(names: &[FileName]) -> Vec<FileName> {
    let swapped = |name: &FileName| name.suffix == Suffix::Swap && name.kind == FileKind::Log;
    names.iter().copied().filter(swapped).collect()
}

/// Segments begin at the offset of the `.swap` and before its end. A producers' snapshot stays true.
fn remove_replaced(files: &Arc<PartitionFiles>, names: &mut Vec<FileName>, swap: FileName) -> io::Result<()> {
    let replaced = swap.offset..next_offset(files, swap)?.max(swap.offset + 1);
    info!("{} replaces the segments from {} on", swap.path(files.dir()).display(), range(&replaced));
    remove_where(files, names, |name| {
        name.suffix == Suffix::None
            && replaced.contains(&name.offset)
            && name.kind != FileKind::ProducerSnapshot
    })
}

fn range(offsets: &Range<i64>) -> String {
    format!("offset {} below {}", offsets.start, offsets.end)
}

/// The log first, as when nobody was in the way.
fn take_names(files: &PartitionFiles, names: &mut [FileName]) -> io::Result<()> {
    for kind in FileKind::OF_SEGMENT {
        for name in names.iter_mut().filter(|name| name.suffix == Suffix::Swap && name.kind == kind) {
            let swap = name.path(files.dir());
            name.suffix = Suffix::None;
            disk::rename(&swap, &name.path(files.dir()))?;
        }
    }
    Ok(())
}

/// Indexes without a log.
fn remove_orphans(files: &PartitionFiles, names: &mut Vec<FileName>) -> io::Result<()> {
    let is_log = |name: &&FileName| name.kind == FileKind::Log;
    let logs: BTreeSet<i64> = names.iter().filter(is_log).map(|name| name.offset).collect();
    remove_where(files, names, |name| name.kind != FileKind::ProducerSnapshot && !logs.contains(&name.offset))
}

fn remove_where(
    files: &PartitionFiles,
    names: &mut Vec<FileName>,
    goes: impl Fn(&FileName) -> bool,
) -> io::Result<()> {
    for name in names.iter().filter(|name| goes(name)) {
        disk::remove_file_if_present(&name.path(files.dir()))?;
    }
    names.retain(|name| !goes(name));
    Ok(())
}

/// Behind the last batch of a log.
fn next_offset(files: &Arc<PartitionFiles>, log: FileName) -> io::Result<i64> {
    let file = DiskFile::open(&log.path(files.dir()))?;
    let len_bytes = file.len_bytes()?.min(i32::MAX as u64) as usize;
    if len_bytes == 0 {
        return Ok(log.offset);
    }
    let map = Map::sealed(&file, len_bytes, files.lease(log.offset))?;
    let (mut position, mut next_offset) = (0, log.offset);
    while let Some(Ok(batch)) = map.published().get(position..).map(BatchHeader::parse) {
        let behind = batch.next_offset();
        if behind <= next_offset || behind - log.offset > i64::from(i32::MAX) {
            break;
        }
        position += batch.size_bytes();
        next_offset = behind;
    }
    Ok(next_offset)
}
