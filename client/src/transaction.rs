//! What the requests of one transaction have in common (KIP-98, KIP-890).

use ottla_protocol::messages::{ProducerId, TransactionalId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::init_producer_id::ProducerIdentity;

/// How a broker has its clients run transactions: `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionProtocol {
    /// Partitions are added to a transaction before they are written to; all transactions have one epoch.
    V1,
    /// Writing to a partition adds it; each transaction has an epoch of its own, so that nothing of an earlier one can
    /// come late (KIP-890).
    V2,
}

/// A producer that holds a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalIdentity {
    pub transactional_id: String,
    pub producer: ProducerIdentity,
    pub protocol: TransactionProtocol,
}

/// True where the same request of a transaction may succeed later. CONCURRENT_TRANSACTIONS: the one before is still being
/// ended.
pub(crate) fn is_passing(code: ErrorCode) -> bool {
    code.is_retriable() || code == ErrorCode::ConcurrentTransactions
}

impl TransactionProtocol {
    /// By the level that the broker has finalised; 0 where it names none.
    pub(crate) fn of_level(level: i16) -> TransactionProtocol {
        if level >= 2 { TransactionProtocol::V2 } else { TransactionProtocol::V1 }
    }

    /// Of an API whose versions up to `last_v1` are the first protocol's, and the later ones the second's.
    pub(crate) fn versions(self, all: VersionRange, last_v1: i16) -> VersionRange {
        match self {
            TransactionProtocol::V1 => VersionRange { min: all.min, max: last_v1 },
            TransactionProtocol::V2 => VersionRange { min: last_v1 + 1, max: all.max },
        }
    }
}

impl TransactionalIdentity {
    pub(crate) fn id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.transactional_id.clone()))
    }

    pub(crate) fn producer_id(&self) -> ProducerId {
        ProducerId(self.producer.producer_id)
    }
}
