//! `.snapshot`: the producers of a partition up to the offset in the file's name, in Kafka's form.
//!
//! ```text
//! version i16 = 1 | crc u32 over all that follows | count i32 | entries of 46 bytes:
//! producerId i64 | epoch i16 | lastSequence i32 | lastOffset i64 | offsetDelta i32 | timestamp i64
//!   | coordinatorEpoch i32 | currentTxnFirstOffset i64 (−1: none)
//! ```
//! Only the newest batch of each producer is kept.

use std::{collections::VecDeque, fs, io, path::Path};

use bytes::{Buf, BufMut};
use ottla_protocol::NO_SEQUENCE;

use crate::disk;
use crate::producer_state::{CachedBatch, Producer, ProducerStates};

const VERSION: i16 = 1;
const CRC_END: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

pub(crate) fn store(path: &Path, states: &ProducerStates) -> io::Result<()> {
    // The CRC shows whether all of it was written.
    disk::write(path, &encode(states))
}

pub(crate) fn load(path: &Path) -> io::Result<ProducerStates> {
    decode(&fs::read(path)?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display())))
}

fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count = 0;
    for (producer_id, producer) in states.iter() {
        count += 1;
        let none =
            CachedBatch { last_sequence: NO_SEQUENCE, last_offset: -1, offset_delta: 0, timestamp: -1 };
        let last = producer.batches.back().copied().unwrap_or(none);
        entries.put_i64(producer_id);
        entries.put_i16(producer.epoch);
        entries.put_i32(last.last_sequence);
        entries.put_i64(last.last_offset);
        entries.put_i32(last.offset_delta);
        entries.put_i64(producer.last_timestamp);
        entries.put_i32(producer.coordinator_epoch);
        entries.put_i64(producer.current_txn_first_offset.unwrap_or(-1));
    }
    let mut covered = Vec::with_capacity(entries.len() + 4);
    covered.put_i32(count);
    covered.put_slice(&entries);
    let mut bytes = Vec::with_capacity(covered.len() + CRC_END);
    bytes.put_i16(VERSION);
    bytes.put_u32(crc32c::crc32c(&covered));
    bytes.put_slice(&covered);
    bytes
}

fn decode(bytes: &[u8]) -> Option<ProducerStates> {
    let (mut header, mut entries) = bytes.split_at_checked(HEADER_BYTES)?;
    let (version, crc, count) = (header.get_i16(), header.get_u32(), header.get_i32());
    if version != VERSION
        || crc != crc32c::crc32c(&bytes[CRC_END..])
        || Some(entries.len()) != usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)
    {
        return None;
    }
    let mut states = ProducerStates::default();
    while entries.has_remaining() {
        let producer_id = entries.get_i64();
        states.insert(producer_id, decode_producer(&mut entries));
    }
    Some(states)
}

fn decode_producer(entry: &mut &[u8]) -> Producer {
    let epoch = entry.get_i16();
    let last_sequence = entry.get_i32();
    let last_offset = entry.get_i64();
    let offset_delta = entry.get_i32();
    let timestamp = entry.get_i64();
    let coordinator_epoch = entry.get_i32();
    let current_txn_first_offset = Some(entry.get_i64()).filter(|&offset| offset >= 0);
    let last = CachedBatch { last_sequence, last_offset, offset_delta, timestamp };
    let batches = VecDeque::from_iter((last_offset >= 0).then_some(last));
    Producer {
        epoch,
        incomplete: !batches.is_empty(),
        batches,
        last_timestamp: timestamp,
        coordinator_epoch,
        current_txn_first_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> ProducerStates {
        let batch = CachedBatch { last_sequence: 9, last_offset: 1009, offset_delta: 9, timestamp: 5 };
        let mut states = ProducerStates::default();
        states.insert(
            7,
            Producer {
                epoch: 2,
                batches: VecDeque::from([batch]),
                incomplete: true,
                last_timestamp: 5,
                coordinator_epoch: -1,
                current_txn_first_offset: Some(1000),
            },
        );
        states
    }

    #[test]
    fn what_is_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000001010.snapshot");
        store(&path, &states()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 56);
        assert_eq!(load(&path).unwrap(), states());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let sound = encode(&states());
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&sound[..at]), None, "cut at {at}");
        }
    }
}
