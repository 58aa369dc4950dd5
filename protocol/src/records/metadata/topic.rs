use uuid::Uuid;

use super::check_version;
use crate::records::codec::{Reader, SchemaFault, Writer};

/// The only version of the records in this file.
pub(super) const VERSION: u32 = 0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    pub name: String,
    pub topic_id: Uuid,
}

/// Removes a topic and all its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveTopicRecord {
    pub topic_id: Uuid,
}

impl TopicRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.uuid(self.topic_id);
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record = Self { name: reader.string()?, topic_id: reader.uuid()? };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}

impl RemoveTopicRecord {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.uuid(self.topic_id);
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record = Self { topic_id: reader.uuid()? };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}
