//! A sorted file of changes, which is only read.

use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::StateError;
use super::block_cache::BlockCache;
use super::disk::read_at;
use super::run_format::{self, FOOTER_BYTES, Footer, MAGIC, Tail, read_entry};
use crate::checkpoint::log_file::LogFileError;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) tail_checksum: u32,
    pub(super) tail: Tail,
    pub(super) file: File,
}

/// Where the blocks of a run are, and the first key of each.
#[derive(Debug)]
pub(super) struct Index {
    start: u64,
    block_ends: Vec<u64>,
    keys: Vec<u8>,
    key_ends: Vec<usize>,
}

/// A key and its value, or that it has none any more.
pub(super) type Change = (Bytes, Option<Bytes>);

pub(super) fn file_name(id: u64) -> String {
    format!("{id}.run")
}

impl Run {
    /// `bytes` and `tail_checksum` are those that the manifest knows.
    pub(super) fn open(folder: &Path, id: u64, bytes: u64, tail_checksum: u32) -> Result<Run, StateError> {
        let path = folder.join(file_name(id));
        let damaged = |reason: String| StateError::Damaged { path: path.clone(), reason };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is not there".to_owned()));
            }
            opened => opened.map_err(|error| LogFileError::io("open", &path, error))?,
        };
        let length = file.metadata().map_err(|error| LogFileError::io("read", &path, error))?.len();
        let footer_offset = bytes.checked_sub(FOOTER_BYTES as u64).filter(|_| length == bytes);
        let Some(footer_offset) = footer_offset else {
            return Err(damaged(format!("it has {length} bytes instead of {bytes}")));
        };
        let read = |buffer: &mut [u8], offset| {
            read_at(&file, buffer, offset).map_err(|error| LogFileError::io("read", &path, error))
        };
        let (mut magic, mut footer) = ([0; MAGIC.len()], [0; FOOTER_BYTES]);
        read(&mut magic, 0)?;
        read(&mut footer, footer_offset)?;
        let footer = Footer::read(&footer).map_err(&damaged)?;
        let tail_bytes = footer_offset.checked_sub(footer.tail_offset);
        let tail_bytes = tail_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let Some(tail_bytes) = tail_bytes.filter(|_| magic == MAGIC && footer.tail_checksum == tail_checksum)
        else {
            return Err(damaged("it is not the run that the manifest names".to_owned()));
        };
        let mut tail = vec![0; tail_bytes];
        read(&mut tail, footer.tail_offset)?;
        if crc32c::crc32c(&tail) != tail_checksum {
            return Err(damaged("the checksum of its index is wrong".to_owned()));
        }
        let tail = Tail::read(&tail, footer.tail_offset).map_err(|reason| damaged(reason.to_owned()))?;
        Ok(Run { id, path, bytes, tail_checksum, tail, file })
    }

    pub(super) fn may_contain(&self, key: &[u8], hash: u64) -> bool {
        self.tail.filter.may_contain(hash) && key <= self.tail.last_key.as_slice()
    }

    /// Whether its first or its last key is not on the wrong side of the range.
    pub(super) fn overlaps(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
        let (first, last) = (self.tail.index.first_key(0), self.tail.last_key.as_slice());
        let ends_before = match from {
            Bound::Unbounded => false,
            Bound::Included(from) | Bound::Excluded(from) => last < from,
        };
        let begins_after = match to {
            Bound::Unbounded => false,
            Bound::Included(to) | Bound::Excluded(to) => first > to,
        };
        !ends_before && !begins_after
    }

    /// What finds the blocks stays in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.tail.filter.bytes() + self.tail.index.memory_bytes()
    }

    /// `keep` puts the block into the cache.
    pub(super) fn block(&self, block: usize, cache: &BlockCache, keep: bool) -> Result<Bytes, StateError> {
        if let Some(block) = cache.get((self.id, block)) {
            return Ok(block);
        }
        let range = self.tail.index.bytes_of(block);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        read_at(&self.file, &mut bytes, range.start)
            .map_err(|error| LogFileError::io("read", &self.path, error))?;
        let Some(content) = run_format::checked(&bytes).map(<[u8]>::len) else {
            return Err(
                self.damaged(format!("the checksum of its bytes {} to {} is wrong", range.start, range.end))
            );
        };
        bytes.truncate(content);
        let content = Bytes::from(bytes);
        if keep {
            cache.insert((self.id, block), content.clone());
        }
        Ok(content)
    }

    pub(super) fn damaged(&self, reason: String) -> StateError {
        StateError::Damaged { path: self.path.clone(), reason }
    }
}

impl Index {
    /// Of a run whose blocks begin at `start`.
    pub(super) fn new(start: u64) -> Index {
        Index { start, block_ends: Vec::new(), keys: Vec::new(), key_ends: Vec::new() }
    }

    pub(super) fn push(&mut self, bytes: u64, first_key: &[u8]) {
        self.block_ends.push(self.end().saturating_add(bytes));
        self.keys.extend_from_slice(first_key);
        self.key_ends.push(self.keys.len());
    }

    pub(super) fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Where the blocks end.
    pub(super) fn end(&self) -> u64 {
        self.block_ends.last().copied().unwrap_or(self.start)
    }

    pub(super) fn bytes_of(&self, block: usize) -> Range<u64> {
        let before = block.checked_sub(1).and_then(|before| self.block_ends.get(before));
        let start = before.copied().unwrap_or(self.start);
        start..self.block_ends.get(block).copied().unwrap_or(start)
    }

    pub(super) fn first_key(&self, block: usize) -> &[u8] {
        let before = block.checked_sub(1).and_then(|before| self.key_ends.get(before));
        let end = self.key_ends.get(block).copied().unwrap_or(0);
        self.keys.get(before.copied().unwrap_or(0)..end).unwrap_or_default()
    }

    /// The block that has the key if any has. Keys often come in order: `hint` is the answer for the one before.
    pub(super) fn block_of(&self, key: &[u8], hint: usize) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        if hint < high && self.first_key(hint) <= key {
            low = hint + 1;
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.first_key(middle) <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// No more blocks will come.
    pub(super) fn shrink(&mut self) {
        self.block_ends.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.key_ends.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.capacity() + self.key_ends.capacity() * 8 + self.block_ends.capacity() * 8
    }
}

/// Goes through the entries of a run.
#[derive(Debug)]
pub(super) struct RunCursor {
    run: Arc<Run>,
    cache: Arc<BlockCache>,
    block: Bytes,
    at: usize,
    next_block: usize,
    keep: bool,
}

impl RunCursor {
    /// Begins with the first entry that is not before `from`. `keep` puts the blocks that it reads into the cache.
    pub(super) fn new(
        run: Arc<Run>,
        cache: Arc<BlockCache>,
        from: Bound<&[u8]>,
        keep: bool,
    ) -> Result<RunCursor, StateError> {
        let next_block = match from {
            Bound::Unbounded => 0,
            Bound::Included(key) | Bound::Excluded(key) => run.tail.index.block_of(key, 0).unwrap_or(0),
        };
        let mut cursor = RunCursor { run, cache, block: Bytes::new(), at: 0, next_block, keep };
        while let Some(entry) = cursor.entry()? {
            let key = cursor.block.get(entry.key.clone()).unwrap_or_default();
            let before = match from {
                Bound::Unbounded => false,
                Bound::Included(from) => key < from,
                Bound::Excluded(from) => key <= from,
            };
            if !before {
                break;
            }
            cursor.at = entry.end();
        }
        Ok(cursor)
    }

    pub(super) fn next(&mut self) -> Result<Option<Change>, StateError> {
        let Some(entry) = self.entry()? else {
            return Ok(None);
        };
        self.at = entry.end();
        let value = entry.value.map(|value| self.block.slice(value));
        Ok(Some((self.block.slice(entry.key), value)))
    }

    /// The entry at which it stands.
    fn entry(&mut self) -> Result<Option<run_format::Entry>, StateError> {
        while self.at >= self.block.len() {
            if self.next_block >= self.run.tail.index.len() {
                return Ok(None);
            }
            self.block = self.run.block(self.next_block, &self.cache, self.keep)?;
            (self.at, self.next_block) = (0, self.next_block + 1);
        }
        let malformed = || self.run.damaged(format!("an entry of its block {} is cut off", self.next_block));
        read_entry(&self.block, self.at).ok_or_else(malformed).map(Some)
    }
}
