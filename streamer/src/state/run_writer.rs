//! Writes a run from front to back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::block_cache::BlockCache;
use super::filter::{self, Filter};
use super::run::{Index, Run, file_name};
use super::run_format::{FOOTER_BYTES, Footer, LENGTH_MAX, MAGIC, Tail, write_entry};
use super::{StateError, disk};

/// Blocks that are written at a time.
const WRITE_BLOCKS: usize = 16;

/// Takes entries in the order of their keys. Until a manifest names the run, its file means nothing: one that is given
/// up is deleted.
#[derive(Debug)]
pub(super) struct RunWriter {
    id: u64,
    file: File,
    unfinished: Unfinished,
    block_bytes: usize,
    /// Where blocks are kept for those who read next.
    cache: Option<Arc<BlockCache>>,
    block: Vec<u8>,
    first_key: Vec<u8>,
    unwritten: Vec<u8>,
    tail: Tail,
}

/// Deletes the file unless it is kept.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    keep: bool,
}

impl RunWriter {
    /// For at most `entries` entries.
    pub(super) fn create(
        folder: &Path,
        id: u64,
        entries: u64,
        block_bytes: usize,
        cache: Option<Arc<BlockCache>>,
    ) -> Result<RunWriter, StateError> {
        let path = folder.join(file_name(id));
        let tail = Tail {
            entries: 0,
            removals: 0,
            index: Index::new(MAGIC.len() as u64),
            last_key: Vec::new(),
            filter: Filter::for_keys(entries),
        };
        let file = disk::create(&path)?;
        let unfinished = Unfinished { path, keep: false };
        let (block, first_key, unwritten) = (Vec::new(), Vec::new(), MAGIC.to_vec());
        Ok(RunWriter { id, file, unfinished, block_bytes, cache, block, first_key, unwritten, tail })
    }

    /// `None` says that the key is gone.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let bytes = key.len().max(value.map_or(0, <[u8]>::len));
        if bytes > LENGTH_MAX {
            return Err(StateError::TooLarge { bytes });
        }
        if self.block.is_empty() {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        write_entry(&mut self.block, key, value);
        self.tail.filter.insert(filter::hash(key));
        self.tail.entries += 1;
        self.tail.removals += u64::from(value.is_none());
        self.tail.last_key.clear();
        self.tail.last_key.extend_from_slice(key);
        if self.block.len() >= self.block_bytes { self.end_block() } else { Ok(()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tail.entries == 0
    }

    /// What is held until the run is finished.
    pub(super) fn memory_bytes(&self) -> usize {
        self.unwritten.capacity() + self.tail.filter.bytes() + self.tail.index.memory_bytes()
    }

    pub(super) fn finish(mut self) -> Result<Run, StateError> {
        self.end_block()?;
        self.tail.filter.fold(self.tail.entries);
        self.tail.index.shrink();
        let mut tail = Vec::new();
        self.tail.write(&mut tail);
        let footer = Footer { tail_offset: self.tail.index.end(), tail_checksum: crc32c::crc32c(&tail) };
        let bytes = footer.tail_offset + (tail.len() + FOOTER_BYTES) as u64;
        self.unwritten.append(&mut tail);
        footer.write(&mut self.unwritten);
        self.write()?;
        let RunWriter { id, file, mut unfinished, tail, .. } = self;
        unfinished.keep = true;
        Ok(Run { id, path: unfinished.path.clone(), bytes, tail_checksum: footer.tail_checksum, tail, file })
    }

    fn end_block(&mut self) -> Result<(), StateError> {
        if self.block.is_empty() {
            return Ok(());
        }
        if let Some(cache) = &self.cache {
            cache.insert((self.id, self.tail.index.len()), Bytes::copy_from_slice(&self.block));
        }
        let checksum = crc32c::crc32c(&self.block);
        self.block.extend_from_slice(&checksum.to_le_bytes());
        self.tail.index.push(self.block.len() as u64, &self.first_key);
        self.unwritten.append(&mut self.block);
        if self.unwritten.len() >= WRITE_BLOCKS * self.block_bytes { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StateError> {
        disk::append(&self.file, &self.unfinished.path, &self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.keep {
            // What stays is deleted when the store is opened.
            let _ = disk::remove(&self.path);
        }
    }
}
