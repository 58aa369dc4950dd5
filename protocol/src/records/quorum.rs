//! Control records of KRaft's metadata log that say who keeps it.

use super::codec::{Reader, SchemaError, SchemaFault};

const LATEST_LEADER_CHANGE: i16 = 1;
const DIRECTORY_IDS_FROM: i16 = 1;

/// The value of the record that begins a leader's epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderChange {
    pub leader_id: i32,
    /// By node id.
    pub voters: Vec<i32>,
}

/// The value of a record that names the voters of a quorum which may change them (KIP-853).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KRaftVoters {
    /// By node id.
    pub voters: Vec<i32>,
}

impl LeaderChange {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a leader change"))
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::flexible(value);
        let version = reader.i16()?;
        if !(0..=LATEST_LEADER_CHANGE).contains(&version) {
            return Err(SchemaFault::UnknownVersion { version, latest: LATEST_LEADER_CHANGE });
        }
        let voter = |reader: &mut Reader<'_>| {
            let voter_id = reader.i32()?;
            if version >= DIRECTORY_IDS_FROM {
                let _directory_id = reader.uuid()?;
            }
            reader.no_tagged_fields()?;
            Ok(voter_id)
        };
        let (leader_id, voters) = (reader.i32()?, reader.array(voter)?);
        let _granting_voters = reader.array(voter)?;
        reader.no_tagged_fields()?;
        reader.finish(Self { leader_id, voters })
    }
}

impl KRaftVoters {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a set of voters"))
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::flexible(value);
        let version = reader.i16()?;
        if version != 0 {
            return Err(SchemaFault::UnknownVersion { version, latest: 0 });
        }
        let voters = reader.array(read_voter)?;
        reader.no_tagged_fields()?;
        reader.finish(Self { voters })
    }
}

fn read_voter(reader: &mut Reader<'_>) -> Result<i32, SchemaFault> {
    let voter_id = reader.i32()?;
    let _directory_id = reader.uuid()?;
    reader.array(read_endpoint)?;
    let _supported_versions = (reader.i16()?, reader.i16()?);
    reader.no_tagged_fields()?;
    reader.no_tagged_fields()?;
    Ok(voter_id)
}

fn read_endpoint(reader: &mut Reader<'_>) -> Result<(), SchemaFault> {
    let (_name, _host) = (reader.string()?, reader.string()?);
    let _port = reader.i16()?;
    reader.no_tagged_fields()
}
