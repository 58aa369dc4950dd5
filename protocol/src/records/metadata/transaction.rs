//! Records between the begin and the end of a metadata transaction count together, or, if it is aborted, not at all
//! (KIP-868).

use super::check_version;
use crate::records::codec::{Reader, SchemaFault, Writer, tagged};

/// The only version of the records in this file.
pub(super) const VERSION: u32 = 0;

const TEXT_TAG: u32 = 0;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BeginTransactionRecord {
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortTransactionRecord {
    pub reason: Option<String>,
}

impl BeginTransactionRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_text(writer, self.name.as_deref());
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        Ok(Self { name: read_text(reader)? })
    }
}

impl AbortTransactionRecord {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_text(writer, self.reason.as_deref());
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, SchemaFault> {
        check_version(version, VERSION)?;
        Ok(Self { reason: read_text(reader)? })
    }
}

fn write_text(writer: &mut Writer, text: Option<&str>) {
    writer.tagged_fields([tagged(TEXT_TAG, text, Writer::string)]);
}

fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>, SchemaFault> {
    let mut text = None;
    reader.tagged_fields(|tag, field| {
        if tag == TEXT_TAG {
            text = field.nullable_string()?;
        }
        Ok(())
    })?;
    Ok(text)
}
