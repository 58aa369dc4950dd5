//! Control records: transaction markers, and the ends of KRaft's snapshots. They stand alone in control batches.

use super::codec::{Reader, SchemaError, SchemaFault, Writer};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 0;

/// What a control record's key says it is. Kafka skips types that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecordType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
    Unknown(i16),
}

/// The value of an abort or commit marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub coordinator_epoch: i32,
}

/// The value of a snapshot's first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    pub last_contained_log_timestamp: i64,
}

/// The value of a snapshot's last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotFooter;

impl ControlRecordType {
    pub fn decode_key(key: &[u8]) -> Result<Self, SchemaError> {
        let mut reader = Reader::plain(key);
        let control_type = reader.i16().and_then(|_version| reader.i16());
        control_type.map(Self::from_code).map_err(|fault| fault.of("a control record's key"))
    }

    pub fn encode_key(self) -> Vec<u8> {
        let mut writer = Writer::plain();
        writer.i16(KEY_VERSION);
        writer.i16(self.code());
        writer.finish()
    }

    fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            code => Self::Unknown(code),
        }
    }

    fn code(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(code) => code,
        }
    }
}

impl EndTransactionMarker {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a transaction marker"))
    }

    pub fn encode(self) -> Vec<u8> {
        let mut writer = Writer::plain();
        writer.i16(VALUE_VERSION);
        writer.i32(self.coordinator_epoch);
        writer.finish()
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::plain(value);
        let _version = reader.i16()?;
        Ok(Self { coordinator_epoch: reader.i32()? })
    }
}

impl SnapshotHeader {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a snapshot's header"))
    }

    pub fn encode(self) -> Vec<u8> {
        let mut writer = Writer::flexible();
        writer.i16(VALUE_VERSION);
        writer.i64(self.last_contained_log_timestamp);
        writer.no_tagged_fields();
        writer.finish()
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::flexible(value);
        let _version = reader.i16()?;
        let header = Self { last_contained_log_timestamp: reader.i64()? };
        reader.no_tagged_fields()?;
        reader.finish(header)
    }
}

impl SnapshotFooter {
    pub fn encode(self) -> Vec<u8> {
        let mut writer = Writer::flexible();
        writer.i16(VALUE_VERSION);
        writer.no_tagged_fields();
        writer.finish()
    }
}
