//! A run's bytes.
//!
//! ```text
//! magic
//! block*      entries in the order of their keys, then their CRC-32C
//! tail        counts, each block's length and first key, the last key, the filter
//! footer      where the tail begins, its CRC-32C, the format's version, the footer's own CRC-32C, magic
//!
//! entry       key length, 0 for a removal or the value's length + 1, key, value; lengths in LEB128
//! ```
//!
//! Numbers are little-endian.

use std::ops::Range;

use super::filter::Filter;
use super::run::Index;

pub(super) const MAGIC: [u8; 8] = *b"ottlaRun";
const FORMAT: u32 = 1;
pub(super) const FOOTER_BYTES: usize = 28;
pub(super) const CHECKSUM_BYTES: usize = 4;
/// Of a key or a value.
pub(super) const LENGTH_MAX: usize = 1 << 30;

/// Where an entry's parts are in its block.
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    /// `None` if the entry says that the key is gone.
    pub(super) value: Option<Range<usize>>,
}

/// What finds the entries of a run.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) entries: u64,
    /// Entries that say that their key is gone.
    pub(super) removals: u64,
    pub(super) index: Index,
    pub(super) last_key: Vec<u8>,
    pub(super) filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) tail_offset: u64,
    pub(super) tail_checksum: u32,
}

pub(super) fn write_entry(block: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    write_length(block, key.len());
    write_length(block, value.map_or(0, |value| value.len() + 1));
    block.extend_from_slice(key);
    block.extend_from_slice(value.unwrap_or_default());
}

/// The entry that begins at `at`; `None` if there is none whole.
pub(super) fn read_entry(block: &[u8], at: usize) -> Option<Entry> {
    let mut input = Input { bytes: block, at };
    let (key, value) = (input.length()?, input.length()?);
    let key = input.range(key)?;
    let value = match value.checked_sub(1) {
        Some(length) => Some(input.range(length)?),
        None => None,
    };
    Some(Entry { key, value })
}

impl Entry {
    /// Where the next one begins.
    pub(super) fn end(&self) -> usize {
        self.value.as_ref().unwrap_or(&self.key).end
    }
}

impl Tail {
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.entries.to_le_bytes());
        to.extend_from_slice(&self.removals.to_le_bytes());
        to.extend_from_slice(&(self.index.len() as u64).to_le_bytes());
        for block in 0..self.index.len() {
            let (bytes, first_key) = (self.index.bytes_of(block), self.index.first_key(block));
            write_length(to, usize::try_from(bytes.end - bytes.start).unwrap_or(0));
            write_length(to, first_key.len());
            to.extend_from_slice(first_key);
        }
        write_length(to, self.last_key.len());
        to.extend_from_slice(&self.last_key);
        self.filter.write(to);
    }

    /// The tail of a run whose blocks end at `blocks_end`; `Err` says what is wrong with it.
    pub(super) fn read(bytes: &[u8], blocks_end: u64) -> Result<Tail, &'static str> {
        let mut input = Input { bytes, at: 0 };
        let mut tail = read_counted(&mut input).ok_or("its index ends too early")?;
        if tail.index.end() != blocks_end {
            return Err("its index does not cover its blocks");
        }
        let filter = bytes.get(input.at..).and_then(Filter::read);
        tail.filter = filter.ok_or("its filter has a wrong length")?;
        Ok(tail)
    }
}

/// All of a tail but its filter.
fn read_counted(input: &mut Input<'_>) -> Option<Tail> {
    let (entries, removals, blocks) = (input.u64()?, input.u64()?, input.u64()?);
    let mut index = Index::new(MAGIC.len() as u64);
    for _ in 0..blocks {
        let (bytes, key) = (input.length()?, input.length()?);
        index.push(bytes as u64, input.take(key)?);
    }
    index.shrink();
    let last_key = input.length()?;
    let last_key = input.take(last_key)?.to_vec();
    Some(Tail { entries, removals, index, last_key, filter: Filter::for_keys(0) })
}

impl Footer {
    pub(super) fn write(self, to: &mut Vec<u8>) {
        let mut fields = Vec::with_capacity(FOOTER_BYTES);
        fields.extend_from_slice(&self.tail_offset.to_le_bytes());
        fields.extend_from_slice(&self.tail_checksum.to_le_bytes());
        fields.extend_from_slice(&FORMAT.to_le_bytes());
        let checksum = crc32c::crc32c(&fields);
        fields.extend_from_slice(&checksum.to_le_bytes());
        fields.extend_from_slice(&MAGIC);
        to.extend_from_slice(&fields);
    }

    pub(super) fn read(bytes: &[u8; FOOTER_BYTES]) -> Result<Footer, String> {
        let mut input = Input { bytes, at: 0 };
        let fields = (|| Some((input.u64()?, input.u32()?, input.u32()?, input.u32()?, input.take(8)?)))();
        let Some((tail_offset, tail_checksum, format, checksum, magic)) = fields else {
            return Err("its end is cut off".to_owned());
        };
        let fields = bytes.get(..FOOTER_BYTES - MAGIC.len() - CHECKSUM_BYTES).unwrap_or_default();
        if magic != MAGIC || crc32c::crc32c(fields) != checksum {
            return Err("its last bytes are not those of a run".to_owned());
        }
        if format != FORMAT {
            return Err(format!("its format is {format}, from a newer Ottla; this one reads {FORMAT}"));
        }
        Ok(Footer { tail_offset, tail_checksum })
    }
}

/// A block without its checksum, if that is right.
pub(super) fn checked(block: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>()?;
    (crc32c::crc32c(content) == u32::from_le_bytes(*checksum)).then_some(content)
}

fn write_length(to: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        to.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
}

/// Reads what is there, and no further.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn range(&mut self, bytes: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len())?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let range = self.range(bytes)?;
        self.bytes.get(range)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.as_array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.as_array()?))
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (length <= LENGTH_MAX + 1).then_some(length);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written_and_no_further() {
        let mut block = Vec::new();
        let long = vec![3; 300];
        let entries = [(&b"a"[..], Some(&b"1"[..])), (b"b", None), (b"", Some(b"")), (&long, Some(&long))];
        entries.iter().for_each(|(key, value)| write_entry(&mut block, key, *value));
        let mut at = 0;
        for (key, value) in entries {
            let entry = read_entry(&block, at).unwrap();
            assert_eq!(
                (&block[entry.key.clone()], entry.value.clone().map(|value| &block[value])),
                (key, value)
            );
            at = entry.end();
        }
        assert_eq!(at, block.len());
        assert!(read_entry(&block, at).is_none());
        assert!(read_entry(&block[..block.len() - 1], at - 604).is_none());
        assert!(read_entry(&[0xff; 9], 0).is_none());
    }
}
