use uuid::Uuid;

use super::check_version;
use crate::records::codec::{Reader, SchemaFault, Writer, tagged};

/// Version 1 added directories (KIP-858), version 2 eligible leader replicas (KIP-966).
pub(super) const VERSION: u32 = 2;
const DIRECTORIES_FROM: u32 = 1;

/// A partition as it was created. Eligible leader replicas are read over: one node elects nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    /// −1 if there is none.
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// The directory id of each replica, in their order; empty in version 0.
    pub directories: Vec<Uuid>,
}

/// A change to a partition; what is `None` stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionChangeRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    pub isr: Option<Vec<i32>>,
    /// −1 if there is none any more. A new leader begins a new leader epoch.
    pub leader: Option<i32>,
    pub replicas: Option<Vec<i32>>,
    pub directories: Option<Vec<Uuid>>,
}

const ISR_TAG: u32 = 0;
const LEADER_TAG: u32 = 1;
const REPLICAS_TAG: u32 = 2;
const DIRECTORIES_TAG: u32 = 8;

impl PartitionRecord {
    /// A partition that one node alone holds, in one directory, in its first epoch. It has no leader yet.
    pub fn of_one_node(topic_id: Uuid, partition_id: i32, node_id: i32, directory_id: Uuid) -> Self {
        Self {
            partition_id,
            topic_id,
            replicas: vec![node_id],
            isr: vec![node_id],
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![directory_id],
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.i32(self.partition_id);
        writer.uuid(self.topic_id);
        write_ids(writer, &self.replicas);
        write_ids(writer, &self.isr);
        write_ids(writer, &self.removing_replicas);
        write_ids(writer, &self.adding_replicas);
        writer.i32(self.leader);
        writer.i32(self.leader_epoch);
        writer.i32(self.partition_epoch);
        write_uuids(writer, &self.directories);
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record = Self {
            partition_id: reader.i32()?,
            topic_id: reader.uuid()?,
            replicas: reader.array(Reader::i32)?,
            isr: reader.array(Reader::i32)?,
            removing_replicas: reader.array(Reader::i32)?,
            adding_replicas: reader.array(Reader::i32)?,
            leader: reader.i32()?,
            leader_epoch: reader.i32()?,
            partition_epoch: reader.i32()?,
            directories: if version >= DIRECTORIES_FROM { reader.array(Reader::uuid)? } else { Vec::new() },
        };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}

impl PartitionChangeRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.i32(self.partition_id);
        writer.uuid(self.topic_id);
        writer.tagged_fields([
            tagged(ISR_TAG, self.isr.as_deref(), write_ids),
            tagged(LEADER_TAG, self.leader, Writer::i32),
            tagged(REPLICAS_TAG, self.replicas.as_deref(), write_ids),
            tagged(DIRECTORIES_TAG, self.directories.as_deref(), write_uuids),
        ]);
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let (partition_id, topic_id) = (reader.i32()?, reader.uuid()?);
        let mut record = Self { partition_id, topic_id, ..Self::default() };
        reader.tagged_fields(|tag, field| {
            match tag {
                ISR_TAG => record.isr = field.nullable_array(Reader::i32)?,
                LEADER_TAG => record.leader = Some(field.i32()?),
                REPLICAS_TAG => record.replicas = field.nullable_array(Reader::i32)?,
                DIRECTORIES_TAG => record.directories = field.nullable_array(Reader::uuid)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }
}

fn write_ids(writer: &mut Writer, ids: &[i32]) {
    writer.array(ids, |writer, id| writer.i32(*id));
}

fn write_uuids(writer: &mut Writer, ids: &[Uuid]) {
    writer.array(ids, |writer, id| writer.uuid(*id));
}
