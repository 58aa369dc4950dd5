//! A file mapped into memory, of which a prefix is published: the only `unsafe` code of the broker.
//!
//! What makes the two blocks below sound, and holds within this file:
//! - bytes below `published` are never written again, bytes at or above it are never read;
//! - a [`MapWriter`] cannot be cloned, and a larger map is made by consuming it;
//! - a [`Map`] lives until the last `Bytes` that borrows it is dropped.
//!
//! What this file needs from others: nobody else writes to the file or cuts it while it is mapped. The data
//! directory's `.lock` keeps other brokers away, [`crate::partition_files`] keeps this one from cutting it, and a
//! segment's one [`crate::active_segment::ActiveSegment`] is the only one that makes a writer.
#![allow(unsafe_code)]

use std::{io, ops::Range, ptr, slice, sync::Arc};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

use crate::{
    disk::{self, DiskFile, InUse, Operation},
    partition_files::Lease,
    publish::Watermark,
};

/// The published prefix of a mapped file, for readers.
pub(crate) struct Map {
    raw: MmapRaw,
    published: Watermark,
    /// Dropped after `raw`, and before what waits for the file to be unmapped happens.
    in_use: InUse,
    _lease: Lease,
}

impl Map {
    /// Maps the first `len_bytes` of a file that nobody appends to any more.
    pub(crate) fn sealed(file: &DiskFile, len_bytes: usize, lease: Lease) -> io::Result<Arc<Map>> {
        check_length(file, len_bytes)?;
        let raw = MmapOptions::new().len(len_bytes).map_raw_read_only(file.std())?;
        let (published, in_use) = (Watermark::new(len_bytes as u64), InUse::mapped(file.path()));
        Ok(Arc::new(Map { raw, published, in_use, _lease: lease }))
    }

    /// The bytes of `range`, which keep the map alive, or `None` when they are not all published.
    pub(crate) fn slice(self: &Arc<Map>, range: Range<usize>) -> Option<Bytes> {
        if range.start > range.end || range.end > self.published().len() {
            return None;
        }
        Some(Bytes::from_owner(MapSlice { map: Arc::clone(self), range }))
    }

    /// Waits until the published bytes from `from` on are on the disk.
    pub(crate) fn sync(&self, from: usize) -> io::Result<()> {
        let len_bytes = self.published().len().saturating_sub(from);
        if len_bytes == 0 {
            return Ok(());
        }
        disk::sync_range(self.in_use.path(), &(from as u64..(from + len_bytes) as u64), || {
            self.raw.flush_range(from, len_bytes)
        })
    }

    pub(crate) fn published(&self) -> &[u8] {
        let len_bytes = self.published.load() as usize;
        // SAFETY: the map is `raw.len()` bytes long and at least `len_bytes` (both constructors and `append` see to
        // it), it lives as long as `self`, and what is published is not written again.
        unsafe { slice::from_raw_parts(self.raw.as_ptr(), len_bytes) }
    }
}

struct MapSlice {
    map: Arc<Map>,
    range: Range<usize>,
}

impl AsRef<[u8]> for MapSlice {
    fn as_ref(&self) -> &[u8] {
        &self.map.published()[self.range.clone()]
    }
}

/// The one place that writes to a mapped file.
pub(crate) struct MapWriter {
    map: Arc<Map>,
    written: usize,
}

impl MapWriter {
    /// Maps `capacity_bytes` of `file`, whose space is allocated, and publishes the first `published_bytes`.
    pub(crate) fn new(
        file: &DiskFile,
        capacity_bytes: usize,
        published_bytes: usize,
        lease: Lease,
    ) -> io::Result<MapWriter> {
        check_length(file, capacity_bytes.max(published_bytes))?;
        let raw = MmapOptions::new().len(capacity_bytes).map_raw(file.std())?;
        let (published, in_use) = (Watermark::new(published_bytes as u64), InUse::mapped(file.path()));
        Ok(MapWriter {
            map: Arc::new(Map { raw, published, in_use, _lease: lease }),
            written: published_bytes,
        })
    }

    /// Maps more of the same file; readers keep the smaller map as long as they need it.
    pub(crate) fn grow(self, file: &DiskFile, capacity_bytes: usize, lease: Lease) -> io::Result<MapWriter> {
        MapWriter::new(file, capacity_bytes.max(self.capacity_bytes()), self.map.published().len(), lease)
    }

    pub(crate) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.map.raw.len()
    }

    pub(crate) fn position(&self) -> usize {
        self.written
    }

    /// Copies `bytes` behind what was written so far; readers do not see them before [`MapWriter::publish`].
    ///
    /// # Panics
    /// When the map has no room for them.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let (bytes, _) = disk::faults::torn(Operation::Copy, self.map.in_use.path(), bytes);
        let room = self.capacity_bytes() - self.written;
        assert!(
            bytes.len() <= room,
            "{} bytes do not fit in the {room} that are left of the map",
            bytes.len()
        );
        // SAFETY: the target lies within the map and at or above `published`, where nobody reads; `&mut self` is the
        // only writer; `bytes` cannot overlap it, for no reference into that part of the map exists.
        unsafe {
            ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.map.raw.as_mut_ptr().add(self.written),
                bytes.len(),
            );
        }
        self.written += bytes.len();
    }

    pub(crate) fn publish(&mut self) {
        self.map.published.publish(self.written as u64);
    }
}

/// Touching a map beyond its file's end would end the process.
fn check_length(file: &DiskFile, len_bytes: usize) -> io::Result<()> {
    if file.len_bytes()? < len_bytes as u64 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than the map over it"));
    }
    Ok(())
}
