//! From records to an image. What stands between the begin and the end of a metadata transaction counts when it has
//! ended (KIP-868).

use bytes::Bytes;
use ottla_protocol::{
    batch::{Record, RecordBatch},
    records::{
        control::ControlRecordType,
        metadata::{MetadataRecord, OtherKind},
        quorum::{KRaftVoters, LeaderChange},
    },
};

use super::RecordError;
use crate::data_dir::metadata::Metadata;

/// What the metadata log said so far.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub(super) image: Metadata,
    /// Of a transaction that has begun and not ended.
    pending: Option<Vec<MetadataRecord>>,
    /// The node ids of those who keep the log, as of the last leader.
    pub(super) voters: Option<Vec<i32>>,
    /// Of a quorum that may change its voters.
    pub(super) quorum: QuorumRecords,
    pub(super) last_timestamp_ms: i64,
    pub(super) has_broker: bool,
    /// Of types that are not known here.
    pub(super) unknown_records: u64,
    pub(super) is_complete_snapshot: bool,
}

/// The values of the control records without which a Kafka of a dynamic quorum (KIP-853) does not know who votes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::data_dir) struct QuorumRecords {
    pub(in crate::data_dir) kraft_version: Option<Bytes>,
    pub(in crate::data_dir) voters: Option<Bytes>,
}

impl Replay {
    pub(super) fn from_nothing() -> Replay {
        Replay {
            image: Metadata::empty(),
            pending: None,
            voters: None,
            quorum: QuorumRecords::default(),
            last_timestamp_ms: 0,
            has_broker: false,
            unknown_records: 0,
            is_complete_snapshot: false,
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch<'_>, max_bytes: usize) -> Result<(), RecordError> {
        let header = *batch.header();
        self.last_timestamp_ms = self.last_timestamp_ms.max(header.max_timestamp);
        for record in &batch.records(max_bytes)? {
            let record = record?;
            if header.is_control() { self.control(&record)? } else { self.record(&record)? }
        }
        Ok(())
    }

    /// How many records of a transaction that never ended are left out.
    pub(super) fn pending_records(&self) -> usize {
        self.pending.as_ref().map_or(0, Vec::len)
    }

    fn control(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let value = record.value.unwrap_or_default();
        match ControlRecordType::decode_key(record.key.unwrap_or_default())? {
            ControlRecordType::LeaderChange => self.voters = Some(LeaderChange::decode(value)?.voters),
            ControlRecordType::KRaftVersion => {
                self.quorum.kraft_version = Some(Bytes::copy_from_slice(value));
            }
            ControlRecordType::KRaftVoters => {
                self.voters = Some(KRaftVoters::decode(value)?.voters);
                self.quorum.voters = Some(Bytes::copy_from_slice(value));
            }
            ControlRecordType::SnapshotFooter => self.is_complete_snapshot = true,
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match MetadataRecord::decode(record.value.unwrap_or_default())? {
            MetadataRecord::BeginTransaction(_) => self.pending = Some(Vec::new()),
            MetadataRecord::AbortTransaction(_) => self.pending = None,
            MetadataRecord::EndTransaction => {
                for record in self.pending.take().unwrap_or_default() {
                    self.image.apply(&record)?;
                }
            }
            record => {
                if let MetadataRecord::Other(other) = &record {
                    self.has_broker |= other.kind() == OtherKind::BrokerRegistration;
                    self.unknown_records += u64::from(other.kind() == OtherKind::Unknown);
                }
                match &mut self.pending {
                    Some(pending) => pending.push(record),
                    None => self.image.apply(&record)?,
                }
            }
        }
        Ok(())
    }
}
