//! `bootstrap.checkpoint`: the metadata image as a KRaft snapshot, from which a real Kafka can start, too.
//!
//! A control batch with the snapshot's header, batches of metadata records, a control batch with its footer; offsets
//! count through.

use std::{fs, io, path::Path};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder, BatchError, BuildError},
    records::{
        SchemaError,
        control::{ControlRecordType, SnapshotFooter, SnapshotHeader},
        metadata::MetadataRecord,
    },
};
use thiserror::Error;

use super::{
    kraft_log::QuorumRecords,
    metadata::{Metadata, MetadataError},
};
use crate::{atomic_file, config::Durability};

pub(super) const FILE_NAME: &str = "bootstrap.checkpoint";

/// Kafka reads batches of up to 8 MiB.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the snapshot's footer is missing: the file is cut short")]
    NoFooter,
}

/// `None` when there is no such file: nothing was ever stored.
pub(super) fn load(path: &Path) -> Result<Option<Metadata>, BootstrapError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    decode(&bytes).map(Some)
}

pub(super) fn store(
    path: &Path,
    metadata: &Metadata,
    now_ms: i64,
    durability: Durability,
) -> Result<(), BootstrapError> {
    Ok(atomic_file::replace(path, &encode(metadata, now_ms)?, durability)?)
}

/// Stores a snapshot of a metadata log that knows its voters and nothing else; on the disk when this returns.
pub(super) fn store_quorum(path: &Path, quorum: &QuorumRecords, now_ms: i64) -> Result<(), BootstrapError> {
    let mut snapshot = Snapshot::begin(now_ms)?;
    let records = [
        (ControlRecordType::KRaftVersion, &quorum.kraft_version),
        (ControlRecordType::KRaftVoters, &quorum.voters),
    ];
    for (kind, value) in records {
        value.iter().try_for_each(|value| snapshot.control(kind, value))?;
    }
    Ok(atomic_file::replace(path, &snapshot.end()?, Durability::Power)?)
}

fn decode(bytes: &[u8]) -> Result<Metadata, BootstrapError> {
    let mut metadata = Metadata::empty();
    let mut complete = false;
    for batch in batch::batches(bytes) {
        let batch = batch?;
        batch.verify_crc()?;
        let is_control = batch.header().is_control();
        for record in &batch.records(bytes.len())? {
            let record = record?;
            if is_control {
                let kind = ControlRecordType::decode_key(record.key.unwrap_or_default())?;
                complete = kind == ControlRecordType::SnapshotFooter;
            } else {
                metadata.apply(&MetadataRecord::decode(record.value.unwrap_or_default())?)?;
            }
        }
    }
    if complete { Ok(metadata) } else { Err(BootstrapError::NoFooter) }
}

fn encode(metadata: &Metadata, now_ms: i64) -> Result<Vec<u8>, BootstrapError> {
    let mut snapshot = Snapshot::begin(now_ms)?;
    let mut batch = snapshot.batch();
    for record in metadata.records() {
        batch.push(now_ms, None, Some(&record.encode()))?;
        if batch.size_bytes() > MAX_BATCH_BYTES {
            snapshot.add(batch)?;
            batch = snapshot.batch();
        }
    }
    if !batch.is_empty() {
        snapshot.add(batch)?;
    }
    Ok(snapshot.end()?)
}

struct Snapshot {
    bytes: Vec<u8>,
    next_offset: i64,
    now_ms: i64,
}

impl Snapshot {
    fn begin(now_ms: i64) -> Result<Snapshot, BuildError> {
        let mut snapshot = Snapshot { bytes: Vec::new(), next_offset: 0, now_ms };
        let header = SnapshotHeader { last_contained_log_timestamp: 0 };
        snapshot.control(ControlRecordType::SnapshotHeader, &header.encode())?;
        Ok(snapshot)
    }

    fn end(mut self) -> Result<Vec<u8>, BuildError> {
        self.control(ControlRecordType::SnapshotFooter, &SnapshotFooter.encode())?;
        Ok(self.bytes)
    }

    fn batch(&self) -> BatchBuilder {
        BatchBuilder::new(Compression::None).with_base_offset(self.next_offset).with_leader_epoch(0)
    }

    fn add(&mut self, batch: BatchBuilder) -> Result<(), BuildError> {
        self.next_offset += batch.len() as i64;
        let bytes: Bytes = batch.build()?;
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn control(&mut self, kind: ControlRecordType, value: &[u8]) -> Result<(), BuildError> {
        let mut batch = self.batch().control();
        batch.push(self.now_ms, Some(&kind.encode_key()), Some(value))?;
        self.add(batch)
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::records::metadata::TopicRecord;
    use uuid::Uuid;

    use super::*;

    fn metadata(topics: u128) -> Metadata {
        let mut metadata = Metadata::default();
        for id in 0..topics {
            let record = TopicRecord { name: format!("topic-{id}"), topic_id: Uuid::from_u128(id + 1) };
            metadata.apply(&MetadataRecord::Topic(record)).unwrap();
        }
        metadata
    }

    #[test]
    fn what_is_stored_is_loaded_however_many_batches_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        assert!(load(&path).unwrap().is_none());
        for topics in [0, 1, 40_000] {
            store(&path, &metadata(topics), 5, Durability::Process).unwrap();
            assert_eq!(load(&path).unwrap().unwrap(), metadata(topics));
        }
    }

    #[test]
    fn a_damaged_or_cut_file_is_an_error() {
        let sound = encode(&metadata(2), 5).unwrap();
        let footer = batch::batches(&sound).last().unwrap().unwrap().size_bytes();
        assert!(matches!(decode(&sound[..sound.len() - footer]), Err(BootstrapError::NoFooter)));
        assert!(matches!(decode(&sound[..sound.len() - 1]), Err(BootstrapError::Batch(_))));
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 1;
        assert!(matches!(decode(&damaged), Err(BootstrapError::Batch(_))));
    }
}
