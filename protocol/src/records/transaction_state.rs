//! The records of `__transaction_state`: where each transactional id's transaction stands.
//!
//! A key starts with its type, a value with its version. A key without a value deletes what it names.

use super::codec::{Reader, SchemaError, SchemaFault, Writer, tagged};
use crate::NO_PRODUCER_ID;

const TRANSACTION_LOG_KEY: i16 = 0;
/// Keys are never flexible.
const NEVER: i16 = i16::MAX;

const VALUE_LATEST: i16 = 1;
const VALUES_FLEXIBLE_FROM: i16 = 1;
const PREVIOUS_PRODUCER_ID_TAG: u32 = 0;
const NEXT_PRODUCER_ID_TAG: u32 = 1;
const CLIENT_TRANSACTION_VERSION_TAG: u32 = 2;

/// A key of `__transaction_state`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionStateKey {
    TransactionLog(TransactionLogKey),
    /// A record of a later Kafka, which is left as it is.
    Other {
        key_type: i16,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionLogKey {
    pub transactional_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionLogValue {
    pub producer_id: i64,
    /// The id that wrote the transaction before; −1 if there was none.
    pub previous_producer_id: i64,
    /// The id that goes on when the transaction is complete, because `producer_id` has no epochs left; else −1.
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    pub transaction_timeout_ms: i32,
    /// Kafka's number of the state.
    pub transaction_status: i8,
    /// `None` where there is no transaction.
    pub transaction_partitions: Option<Vec<TransactionPartitions>>,
    pub last_update_timestamp_ms: i64,
    /// −1 where there was no transaction yet.
    pub start_timestamp_ms: i64,
    /// The client's `transaction.version` (KIP-890).
    pub client_transaction_version: i16,
}

/// What a transaction writes of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionPartitions {
    pub topic: String,
    pub partition_ids: Vec<i32>,
}

impl TransactionStateKey {
    pub fn decode(key: &[u8]) -> Result<Self, SchemaError> {
        Self::read(key).map_err(|fault| fault.of("a key of __transaction_state"))
    }

    fn read(key: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::plain(key);
        match reader.i16()? {
            TRANSACTION_LOG_KEY => {
                let transactional_id = reader.string()?;
                reader.finish(Self::TransactionLog(TransactionLogKey { transactional_id }))
            }
            key_type => Ok(Self::Other { key_type }),
        }
    }
}

impl TransactionLogKey {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(TRANSACTION_LOG_KEY, NEVER);
        writer.string(&self.transactional_id);
        writer.finish()
    }
}

impl TransactionLogValue {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a transaction's state"))
    }

    /// Encodes in version 1, as Kafka does from `transaction.version` 1 on.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(VALUE_LATEST, VALUES_FLEXIBLE_FROM);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.i32(self.transaction_timeout_ms);
        writer.i8(self.transaction_status);
        writer.nullable_array(self.transaction_partitions.as_deref(), |writer, topic| topic.write(writer));
        writer.i64(self.last_update_timestamp_ms);
        writer.i64(self.start_timestamp_ms);
        let producer_id = |id: i64| Some(id).filter(|id| *id != NO_PRODUCER_ID);
        let version = Some(self.client_transaction_version).filter(|version| *version != 0);
        writer.tagged_fields([
            tagged(PREVIOUS_PRODUCER_ID_TAG, producer_id(self.previous_producer_id), Writer::i64),
            tagged(NEXT_PRODUCER_ID_TAG, producer_id(self.next_producer_id), Writer::i64),
            tagged(CLIENT_TRANSACTION_VERSION_TAG, version, Writer::i16),
        ]);
        writer.finish()
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let (_, mut reader) = Reader::versioned(value, VALUE_LATEST, VALUES_FLEXIBLE_FROM)?;
        let mut value = Self {
            producer_id: reader.i64()?,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: reader.i16()?,
            transaction_timeout_ms: reader.i32()?,
            transaction_status: reader.i8()?,
            transaction_partitions: reader.nullable_array(TransactionPartitions::read)?,
            last_update_timestamp_ms: reader.i64()?,
            start_timestamp_ms: reader.i64()?,
            client_transaction_version: 0,
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                PREVIOUS_PRODUCER_ID_TAG => value.previous_producer_id = field.i64()?,
                NEXT_PRODUCER_ID_TAG => value.next_producer_id = field.i64()?,
                CLIENT_TRANSACTION_VERSION_TAG => value.client_transaction_version = field.i16()?,
                _ => {}
            }
            Ok(())
        })?;
        reader.finish(value)
    }
}

impl TransactionPartitions {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partition_ids, |writer, partition| writer.i32(*partition));
        writer.no_tagged_fields();
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SchemaFault> {
        let partitions = Self { topic: reader.string()?, partition_ids: reader.array(Reader::i32)? };
        reader.no_tagged_fields()?;
        Ok(partitions)
    }
}
