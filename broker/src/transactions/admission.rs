//! What a transactional write asks before it begins a transaction in a partition (KIP-890).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::TransactionalId;

use super::coordinator::TransactionCoordinator;
use super::partition_set::PartitionSet;
use super::transaction::{ClientVersion, Producer};

/// How far the writer's client goes with transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriterVersion {
    /// It has added the partition before, and knows no error of its own for the case that it has not.
    Verifies,
    /// As `Verifies`; it knows TRANSACTION_ABORTABLE.
    VerifiesAbortable,
    /// The write itself adds the partition.
    Adds,
}

impl WriterVersion {
    pub(crate) fn of_produce(api_version: i16) -> WriterVersion {
        match api_version {
            ..11 => WriterVersion::Verifies,
            11 => WriterVersion::VerifiesAbortable,
            _ => WriterVersion::Adds,
        }
    }

    pub(crate) fn of_offset_commit(api_version: i16) -> WriterVersion {
        match api_version {
            ..4 => WriterVersion::Verifies,
            4 => WriterVersion::VerifiesAbortable,
            _ => WriterVersion::Adds,
        }
    }

    pub(crate) fn supports_epoch_bump(self) -> bool {
        self == WriterVersion::Adds
    }

    /// What is answered for a partition that is not part of the transaction.
    pub(crate) fn code_of_missing(self) -> ErrorCode {
        match self {
            WriterVersion::Verifies => ErrorCode::InvalidTxnState,
            WriterVersion::VerifiesAbortable | WriterVersion::Adds => ErrorCode::TransactionAbortable,
        }
    }
}

impl TransactionCoordinator {
    /// Lets a producer write to partitions in which its transaction is not open yet; answers those that are not part
    /// of it.
    ///
    /// # Errors
    /// Those of the coordinator, with INVALID_PRODUCER_EPOCH for PRODUCER_FENCED, which no producer expects of a
    /// write.
    pub(crate) fn admit(
        &self,
        id: &TransactionalId,
        producer: Producer,
        wanted: PartitionSet,
        version: WriterVersion,
    ) -> Result<PartitionSet, ErrorCode> {
        let admitted = match version {
            WriterVersion::Adds => {
                let added = self.add_partitions(id, producer, wanted, ClientVersion::V2);
                added.map(|()| PartitionSet::default())
            }
            WriterVersion::Verifies | WriterVersion::VerifiesAbortable => self.verify(id, producer, |open| {
                open.map_or_else(|| wanted.clone(), |open| wanted.without(open))
            }),
        };
        admitted.map_err(|error| match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            error => error,
        })
    }
}
