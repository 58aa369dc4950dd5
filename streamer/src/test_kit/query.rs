//! A query that runs beside its test.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::timezone::Tz;
use datafusion::common::runtime::SpawnedTask;
use futures::future::join_all;
use parking_lot::Mutex;

use super::{Prepared, StoppedQuery, TestKitError};
use crate::output_mode::OutputMode;
use crate::progress::StreamingQueryProgress;
use crate::sink::{JsonLinesSink, Sink, SinkBatch, SinkError};
use crate::source::MemoryStream;
use crate::state::row_text::RowPrinter;
use crate::state::{StateReader, inspect};
use crate::stop::{self, Stopper};
use crate::{Observer, StreamingQueryError};

/// A query that runs beside its test. Dropped, it ends as if it had been killed.
pub struct TestQuery {
    streams: Vec<Arc<MemoryStream>>,
    seen: Seen,
    stopper: Stopper,
    task: Option<SpawnedTask<Result<(), StreamingQueryError>>>,
    checkpoint: StoppedQuery,
}

/// What the query has done, as sink and observer have seen it.
#[derive(Clone)]
pub(super) struct Seen {
    time_zone: Tz,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The rows of each batch, as JSON lines.
    batches: Vec<Vec<String>>,
    progress: Vec<StreamingQueryProgress>,
}

impl Seen {
    pub(super) fn new(time_zone: Tz) -> Seen {
        Seen { time_zone, state: Arc::default() }
    }

    pub(super) fn take_batches(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.state.lock().batches)
    }
}

impl TestQuery {
    pub(super) fn start(prepared: Prepared, checkpoint: StoppedQuery) -> TestQuery {
        let Prepared { query, seen, streams } = prepared;
        let (stopper, stop) = stop::channel();
        let task = Some(SpawnedTask::spawn(query.run(stop)));
        TestQuery { streams, seen, stopper, task, checkpoint }
    }

    /// Waits until the query has done all that follows from the rows that were pushed, and returns the rows that it has
    /// written since it was asked before, as JSON lines: those of each batch in the order of its partitions.
    pub async fn process_all_available(&mut self) -> Result<Vec<String>, TestKitError> {
        let Some(task) = &mut self.task else {
            return Err(TestKitError::Ended);
        };
        let processed = join_all(self.streams.iter().map(|stream| stream.processed()));
        let ended = tokio::select! {
            biased;
            ended = task => ended,
            _ = processed => return Ok(self.seen.take_batches().concat()),
        };
        self.task = None;
        match ended {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(())) | Err(_) => Err(TestKitError::Ended),
        }
    }

    /// Of every batch so far.
    pub fn progress(&self) -> Vec<StreamingQueryProgress> {
        self.seen.state.lock().progress.clone()
    }

    /// The watermark in force in the last batch, in milliseconds since 1970. `None` without a watermark.
    pub fn watermark_ms(&self) -> Option<i64> {
        let state = self.seen.state.lock();
        let watermark = state.progress.last()?.event_time.get("watermark")?;
        chrono::DateTime::parse_from_rfc3339(watermark).ok().map(|time| time.timestamp_millis())
    }

    /// How many rows each stateful operator remembers after the last batch.
    pub fn state_rows(&self) -> Vec<u64> {
        let state = self.seen.state.lock();
        let operators = state.progress.last().map_or(&[][..], |progress| &progress.state_operators);
        operators.iter().map(|operator| operator.num_rows_total).collect()
    }

    /// What the operators remember after the last batch, as JSON lines such as
    /// `{"operator":0,"name":"dedupe","store":"","version":2,"key":{"id":7},"value":{}}`. What `ottla-stream state --rows`
    /// prints; keys come in the order of their bytes. The value of an aggregation is the state of its aggregates.
    pub fn state(&self) -> Result<Vec<String>, TestKitError> {
        let mut lines = Vec::new();
        for store in inspect::stores(self.checkpoint())? {
            let Some(newest) = StateReader::versions(&store.folder)?.last().copied() else {
                continue;
            };
            let reader = StateReader::open(&store.folder, newest)?;
            let rows: Vec<_> = reader.rows()?.collect::<Result<_, _>>()?;
            lines.extend(RowPrinter::new(&store, &reader, true, self.seen.time_zone).json(&rows)?);
        }
        Ok(lines)
    }

    /// The checkpoint's folder, in which `state/` is what the operators remember.
    pub fn checkpoint(&self) -> &Path {
        self.checkpoint.checkpoint()
    }

    /// Ends the query after the batch that runs.
    pub async fn stop(self) -> Result<StoppedQuery, TestKitError> {
        self.stopper.stop();
        if let Some(task) = self.task {
            task.join().await.map_err(|_| TestKitError::Ended)??;
        }
        Ok(self.checkpoint)
    }
}

#[async_trait]
impl Sink for Seen {
    fn description(&self) -> String {
        "TestKit".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let mut lines = Vec::new();
        let count = JsonLinesSink::new(&mut lines, self.time_zone).write_batch(batch).await?;
        let text = String::from_utf8_lossy(&lines);
        let rows = text.lines().map(str::to_owned).collect();
        self.state.lock().batches.push(rows);
        Ok(count)
    }
}

impl Observer for Seen {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        self.state.lock().progress.push(progress.clone());
    }
}
