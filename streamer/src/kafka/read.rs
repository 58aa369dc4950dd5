//! One partition's share of a batch as a stream of rows: fetched while the rows before are worked on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use ottla_client::{Client, Fetch, FetchPartition, FetchedPartition, IsolationLevel, RequestError};
use ottla_protocol::ErrorCode;

use super::decode::{DecodeError, Decoder};
use super::schema::Column;
use super::source::{KafkaSource, KafkaSourceError, Loss, OffsetRange};

/// Enough for the decoder to run at full speed; two fetches per partition are in memory at a time.
const MAX_FETCH_BYTES: i64 = 4 << 20;
const MIN_FETCH_BYTES: i64 = 64 << 10;
/// A guess, so that a short range does not bring megabytes of what lies behind it. Larger records take more fetches.
const BYTES_PER_RECORD: i64 = 1 << 10;
/// The broker has the records: it need not wait for more.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Fetches without a record after which the wanted ones are taken for gone. Each has waited at the broker; a leader
/// that moves takes a few.
const MAX_IDLE_FETCHES: u32 = 6;

/// A partition of DataFusion's plan.
#[derive(Debug)]
pub struct PartitionRead {
    pub source: KafkaSource,
    pub range: OffsetRange,
    pub schema: SchemaRef,
    pub columns: Vec<Column>,
}

impl PartitionStream for PartitionRead {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let decoder = Decoder::new(self.range.partition.clone(), self.schema.clone(), &self.columns);
        let reader = Reader {
            source: self.source.clone(),
            range: self.range.clone(),
            decoder,
            decoded: VecDeque::new(),
            readable_end: 0,
            fetching: None,
        };
        let rows = stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next().await.map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Source(#[from] KafkaSourceError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the reader of a partition was stopped")]
    Stopped,
    #[error("the broker sends nothing for {0:?}, though its offsets say that there is more")]
    NoProgress(OffsetRange),
}

struct Reader {
    source: KafkaSource,
    /// What is still to be fetched.
    range: OffsetRange,
    decoder: Decoder,
    decoded: VecDeque<RecordBatch>,
    /// The high watermark, or the last stable offset, as of the last fetch.
    readable_end: i64,
    fetching: Option<SpawnedTask<Result<Option<FetchedPartition>, RequestError>>>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let mut idle_fetches = 0;
        loop {
            if let Some(batch) = self.decoded.pop_front() {
                return Ok(Some(batch));
            }
            if self.range.from >= self.range.to {
                return Ok(None);
            }
            let before = self.range.from;
            self.fetch().await?;
            idle_fetches = if self.range.from > before { 0 } else { idle_fetches + 1 };
            if idle_fetches == MAX_IDLE_FETCHES {
                self.skip_missing()?;
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), ReadError> {
        let task = self.fetching.take().unwrap_or_else(|| self.spawn_fetch());
        let Some(fetched) = task.join().await.map_err(|_| ReadError::Stopped)?? else {
            return Ok(());
        };
        match fetched.error {
            None => {}
            Some(ErrorCode::OffsetOutOfRange) => return self.skip_lost().await,
            Some(code) => {
                let partition = self.range.partition.clone();
                return Err(KafkaSourceError::Partition { partition, code }.into());
            }
        }
        self.readable_end = match self.source.options().isolation_level {
            IsolationLevel::ReadUncommitted => fetched.high_watermark,
            IsolationLevel::ReadCommitted => fetched.last_stable_offset,
        };
        let filter = fetched.committed_filter();
        let decoded = self.decoder.decode(&fetched.records, filter, self.range.from..self.range.to)?;
        self.range.from = decoded.next_offset;
        self.decoded.extend(decoded.batches);
        if self.range.from < self.range.to {
            self.fetching = Some(self.spawn_fetch());
        }
        Ok(())
    }

    /// The log start offset alone tells of lost data: a gap may be a control record, or compaction.
    async fn skip_lost(&mut self) -> Result<(), ReadError> {
        let OffsetRange { partition, from, to } = &self.range;
        // A fetch that fails does not tell it.
        let log_start_offset = self.source.log_start_offset(partition).await?;
        self.report_unreadable(&format!("starts at {log_start_offset}"))?;
        let next = if log_start_offset > *from { log_start_offset.min(*to) } else { *to };
        self.range.from = next;
        Ok(())
    }

    /// For a log that is shorter than it was when the batch was logged.
    fn skip_missing(&mut self) -> Result<(), ReadError> {
        let to = self.range.to;
        if self.readable_end >= to {
            return Err(ReadError::NoProgress(self.range.clone()));
        }
        self.report_unreadable(&format!("ends at {}", self.readable_end))?;
        self.range.from = to;
        Ok(())
    }

    /// `log` says where the log of the partition starts or ends.
    fn report_unreadable(&self, log: &str) -> Result<(), KafkaSourceError> {
        let OffsetRange { partition, from, to } = &self.range;
        let what = format!(
            "Could not read records in offset [{from}, {to}) for topic partition {partition}: the log of the partition {log}."
        );
        self.source.report_data_loss(Loss::RangeUnreadable, what)
    }

    fn spawn_fetch(&self) -> SpawnedTask<Result<Option<FetchedPartition>, RequestError>> {
        let client = self.source.client().clone();
        let isolation_level = self.source.options().isolation_level;
        SpawnedTask::spawn(fetch_one(client, self.range.clone(), isolation_level))
    }
}

async fn fetch_one(
    client: Client,
    range: OffsetRange,
    isolation_level: IsolationLevel,
) -> Result<Option<FetchedPartition>, RequestError> {
    let max_bytes = fetch_bytes(&range);
    let partition = FetchPartition {
        topic: range.partition.topic,
        partition: range.partition.partition,
        offset: range.from,
        max_bytes,
    };
    let fetch =
        Fetch { partitions: vec![partition], max_wait: MAX_WAIT, min_bytes: 1, max_bytes, isolation_level };
    Ok(client.fetch(&fetch).await?.pop())
}

fn fetch_bytes(range: &OffsetRange) -> i32 {
    let wanted = range.to.saturating_sub(range.from).saturating_mul(BYTES_PER_RECORD);
    i32::try_from(wanted.clamp(MIN_FETCH_BYTES, MAX_FETCH_BYTES)).unwrap_or(i32::MAX)
}
