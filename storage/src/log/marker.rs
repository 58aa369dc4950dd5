//! Transaction markers: the control batches by which a transaction coordinator ends a transaction in this partition.

use bytes::Bytes;
use ottla_protocol::{
    Compression, NO_SEQUENCE,
    batch::{BatchBuilder, BuildError},
    records::control::{ControlRecordType, EndTransactionMarker},
};
use thiserror::Error;

use super::{AppendContext, AppendError, AppendOrigin, AppendOutcome, Log, validate, writer::LogWriter};
use crate::{config::LogConfig, producer_state::SequenceError};

/// The end of a producer's transaction (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMarker {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Of the transaction coordinator, so that one that was replaced cannot write any more.
    pub coordinator_epoch: i32,
    pub outcome: TransactionOutcome,
    /// `transaction.version`, by which the transaction was begun. From 2 on each marker has a higher epoch than its
    /// transaction (KIP-890), so that a marker that comes late cannot end the next one.
    pub transaction_version: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    Commit,
    Abort,
}

/// Why a marker was not appended.
#[derive(Debug, Error)]
pub enum MarkerError {
    #[error(
        "a marker for producer {producer_id} came from coordinator epoch {received}, but epoch {current} has written \
         since"
    )]
    CoordinatorFenced { producer_id: i64, received: i32, current: i32 },
    /// Only [`SequenceError::InvalidProducerEpoch`]: the marker belongs to an earlier transaction.
    #[error(transparent)]
    Producer(#[from] SequenceError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Log {
    /// Ends the producer's transaction. A marker without a transaction is appended, too, as Kafka does: it raises the
    /// epochs below which producer and coordinator are fenced. Of `context` the origin and the guard do not matter.
    pub fn append_marker(
        &self,
        marker: &TransactionMarker,
        context: &AppendContext,
    ) -> Result<AppendOutcome, MarkerError> {
        let config = self.config();
        let context = AppendContext { origin: AppendOrigin::Coordinator, verification: None, ..*context };
        let batch = marker.encode(context.now_ms)?;
        let append =
            |writer: &mut LogWriter| self.append_encoded_marker(writer, marker, &batch, &config, &context);
        self.with_writer(append).map_err(AppendError::from)?
    }

    fn append_encoded_marker(
        &self,
        writer: &mut LogWriter,
        marker: &TransactionMarker,
        batch: &[u8],
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<AppendOutcome, MarkerError> {
        writer.producers.check_marker(marker)?;
        let active = writer.active.segment();
        if active.aborted_is_full() {
            active.write_aborted().map_err(|source| self.append_error(source))?;
        }
        let batches = validate::validate(batch, config, context)?;
        Ok(self.append_checked(writer, &batches, batch.len(), config, context)?)
    }
}

impl TransactionMarker {
    fn encode(&self, now_ms: i64) -> Result<Bytes, BuildError> {
        let control_type = match self.outcome {
            TransactionOutcome::Commit => ControlRecordType::Commit,
            TransactionOutcome::Abort => ControlRecordType::Abort,
        };
        let value = EndTransactionMarker { coordinator_epoch: self.coordinator_epoch }.encode();
        let mut batch = BatchBuilder::new(Compression::None)
            .with_producer(self.producer_id, self.producer_epoch, NO_SEQUENCE)
            .transactional()
            .control();
        batch.push(now_ms, Some(&control_type.encode_key()), Some(&value))?;
        batch.build()
    }
}
