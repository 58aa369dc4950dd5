//! AddPartitionsToTxn and AddOffsetsToTxn, and what transactional writes ask: which partitions a transaction has.

use ottla_protocol::ErrorCode;

use super::partition_set::PartitionSet;
use super::transaction::{ClientVersion, Producer, State, Transaction};

impl Transaction {
    /// The transaction with `added`, which may begin it; `None` if it has them already.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, and CONCURRENT_TRANSACTIONS while the one before is being ended.
    pub(crate) fn add_partitions(
        &self,
        producer: Producer,
        added: PartitionSet,
        client_version: ClientVersion,
        now_ms: i64,
    ) -> Result<Option<Transaction>, ErrorCode> {
        self.check_producer(producer)?;
        let (partitions, start_ms) = match &self.state {
            State::Prepare { .. } => return Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing { partitions, .. } if partitions.contains_all(&added) => return Ok(None),
            State::Ongoing { partitions, start_ms } => {
                let mut partitions = partitions.clone();
                partitions.extend(added);
                (partitions, *start_ms)
            }
            State::Empty | State::Complete { .. } => (added, now_ms),
        };
        let next = self.followed_by(State::Ongoing { partitions, start_ms }, now_ms);
        Ok(Some(Transaction { client_version, ..next }))
    }

    /// The partitions of the transaction, for a write that claims to be part of it.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, and CONCURRENT_TRANSACTIONS while it is being ended.
    pub(crate) fn verify(&self, producer: Producer) -> Result<Option<&PartitionSet>, ErrorCode> {
        self.check_producer(producer)?;
        match &self.state {
            State::Prepare { .. } => Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing { partitions, .. } => Ok(Some(partitions)),
            State::Empty | State::Complete { .. } => Ok(None),
        }
    }

    fn check_producer(&self, producer: Producer) -> Result<(), ErrorCode> {
        if producer.id != self.producer.id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if producer.epoch != self.producer.epoch {
            Err(ErrorCode::ProducerFenced)
        } else {
            Ok(())
        }
    }
}
