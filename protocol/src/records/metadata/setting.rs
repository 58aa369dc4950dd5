use super::check_version;
use crate::records::codec::{Reader, SchemaFault, Writer};

/// The only version of the records in this file.
pub(super) const VERSION: u32 = 0;

/// A setting of a topic or broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRecord {
    pub resource: ConfigResource,
    pub resource_name: String,
    pub name: String,
    /// `None` sets it back to its default.
    pub value: Option<String>,
}

/// Whose setting it is, numbered as in the protocol's config resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic,
    Broker,
    Other(i8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureLevelRecord {
    pub name: String,
    /// 0 if the feature is off.
    pub feature_level: i16,
}

/// Producer ids below `next_producer_id` have been given out in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdsRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub next_producer_id: i64,
}

impl ConfigRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.i8(self.resource.code());
        writer.string(&self.resource_name);
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record = Self {
            resource: ConfigResource::from_code(reader.i8()?),
            resource_name: reader.string()?,
            name: reader.string()?,
            value: reader.nullable_string()?,
        };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}

impl ConfigResource {
    fn from_code(code: i8) -> Self {
        match code {
            2 => Self::Topic,
            4 => Self::Broker,
            code => Self::Other(code),
        }
    }

    fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::Other(code) => code,
        }
    }
}

impl FeatureLevelRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.i16(self.feature_level);
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record = Self { name: reader.string()?, feature_level: reader.i16()? };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}

impl ProducerIdsRecord {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        writer.i64(self.next_producer_id);
        writer.no_tagged_fields();
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        let record =
            Self { broker_id: reader.i32()?, broker_epoch: reader.i64()?, next_producer_id: reader.i64()? };
        reader.no_tagged_fields()?;
        Ok(record)
    }
}
