//! What a log knows about its producers, for their transaction coordinator and for whoever looks for a transaction that
//! hangs.

use super::{AppendError, Log};
use crate::producer_state::{VerificationGuard, VerificationRequest};

/// A producer that has written to the log (DescribeProducers, KIP-664).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// −1 when its only traces are transaction markers.
    pub last_sequence: i32,
    pub last_timestamp: i64,
    /// −1 before the first transaction marker.
    pub coordinator_epoch: i32,
    pub current_txn_first_offset: Option<i64>,
}

impl Log {
    /// To be called before the transaction coordinator is asked whether a producer's transaction is open (KIP-890). The
    /// guard goes into the [`AppendContext`](super::AppendContext) of the batch that the producer wants to append; a
    /// transaction that ends in between makes it void. `None`: the transaction is open in this log already, so that
    /// nobody has to be asked.
    pub fn start_transaction_verification(
        &self,
        request: VerificationRequest,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>, AppendError> {
        self.with_writer(|writer| {
            let needed = writer.producers.needs_verification(&request)?;
            Ok(needed.then(|| writer.verifications.start(request, now_ms)))
        })?
    }

    /// All producers that the log knows, by id.
    pub fn producers(&self) -> Result<Vec<ActiveProducer>, AppendError> {
        Ok(self.with_writer(|writer| {
            let producers = writer.producers.iter().map(|(producer_id, producer)| ActiveProducer {
                producer_id,
                producer_epoch: producer.epoch,
                last_sequence: producer.last_sequence(),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                current_txn_first_offset: producer.current_txn_first_offset,
            });
            producers.collect()
        })?)
    }
}
