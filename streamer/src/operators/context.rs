//! What a batch's physical nodes share: watermarks, state, and what they have to tell.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;

use crate::output_mode::OutputMode;
use crate::state::{StateDescription, StateError, StateMemory, StateStore};

/// One batch's; nodes find it in their session's configuration.
pub(crate) struct BatchContext {
    pub(crate) batch_id: u64,
    pub(crate) output_mode: OutputMode,
    operators: Vec<OperatorContext>,
    event_times: Vec<Mutex<EventTimeStats>>,
    /// Whether late rows are wanted.
    pub(crate) keeps_late_rows: bool,
    late_rows: Mutex<Vec<RecordBatch>>,
    /// Streams that were left before their end.
    unfinished: Mutex<Vec<SendableRecordBatchStream>>,
    /// Called after an operator has sealed its state.
    on_state_written: Box<dyn Fn() -> ControlFlow<()> + Send + Sync>,
}

/// What a stateful operator works with.
pub(crate) struct OperatorContext {
    pub(crate) watermarks: Watermarks,
    state_folder: PathBuf,
    stores: Arc<StateStores>,
    metrics: Mutex<StateMetrics>,
}

/// The watermarks of an operator in one batch, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    /// Rows up to here are late: the watermark of the batch before.
    pub(crate) late_ms: i64,
    /// State up to here is done with.
    pub(crate) eviction_ms: i64,
}

/// What an operator did: Spark's `StateOperatorProgress`.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateMetrics {
    pub(crate) rows_total: u64,
    pub(crate) rows_updated: u64,
    pub(crate) rows_removed: u64,
    pub(crate) rows_dropped: u64,
    pub(crate) updates_ms: u64,
    pub(crate) removals_ms: u64,
    pub(crate) commit_ms: u64,
    pub(crate) memory_bytes: u64,
    /// Of operators that drop duplicates.
    pub(crate) duplicates_dropped: Option<u64>,
}

impl BatchContext {
    pub(crate) fn new(
        batch_id: u64,
        output_mode: OutputMode,
        operators: Vec<OperatorContext>,
        watermarks: usize,
        on_state_written: Box<dyn Fn() -> ControlFlow<()> + Send + Sync>,
    ) -> BatchContext {
        let event_times = (0..watermarks).map(|_| Mutex::default()).collect();
        BatchContext {
            batch_id,
            output_mode,
            operators,
            event_times,
            keeps_late_rows: false,
            late_rows: Mutex::default(),
            unfinished: Mutex::default(),
            on_state_written,
        }
    }

    pub(crate) fn of(context: &TaskContext) -> Result<Arc<BatchContext>> {
        context
            .session_config()
            .get_extension::<BatchContext>()
            .ok_or_else(|| DataFusionError::Internal("a streaming node outside of a batch".to_owned()))
    }

    pub(crate) fn operator(&self, id: Option<usize>) -> Result<&OperatorContext> {
        id.and_then(|id| self.operators.get(id))
            .ok_or_else(|| DataFusionError::Internal("a stateful operator without a number".to_owned()))
    }

    pub(crate) fn add_event_times(&self, watermark: usize, stats: EventTimeStats) {
        if let Some(all) = self.event_times.get(watermark) {
            all.lock().merge(stats);
        }
    }

    pub(crate) fn add_late_rows(&self, rows: RecordBatch) {
        self.late_rows.lock().push(rows);
    }

    /// Empty unless the plan keeps them.
    pub(crate) fn take_late_rows(&self) -> Vec<RecordBatch> {
        std::mem::take(&mut *self.late_rows.lock())
    }

    pub(crate) fn event_times(&self) -> Vec<EventTimeStats> {
        self.event_times.iter().map(|stats| *stats.lock()).collect()
    }

    /// Has the rest of a stream read when the result has been taken.
    pub(crate) fn read_later(&self, rows: SendableRecordBatchStream) {
        self.unfinished.lock().push(rows);
    }

    /// Reads what nobody has wanted to see.
    pub(crate) async fn read_unfinished(&self) -> Result<()> {
        loop {
            let next = self.unfinished.lock().pop();
            let Some(mut rows) = next else {
                return Ok(());
            };
            while let Some(batch) = rows.next().await {
                batch?;
            }
        }
    }

    pub(crate) fn state_metrics(&self) -> Vec<StateMetrics> {
        self.operators.iter().map(|operator| operator.metrics.lock().clone()).collect()
    }

    /// Seals the operator's state as this batch leaves it, and keeps it for the next one.
    pub(crate) fn commit(
        &self,
        id: Option<usize>,
        mut store: StateStore,
        mut metrics: StateMetrics,
    ) -> Result<()> {
        let operator = self.operator(id)?;
        let started = Instant::now();
        store.commit(self.batch_id + 1).map_err(state_error)?;
        metrics.commit_ms = elapsed_ms(started);
        metrics.memory_bytes = store.memory_bytes() as u64;
        *operator.metrics.lock() = metrics;
        operator.stores.put_back(operator.state_folder.clone(), self.batch_id + 1, store);
        match (self.on_state_written)() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(DataFusionError::External(Box::new(Interrupted))),
        }
    }

    /// The operator's state as the batch before left it.
    pub(crate) fn open(&self, id: Option<usize>, description: &StateDescription) -> Result<StateStore> {
        let operator = self.operator(id)?;
        operator.stores.take(&operator.state_folder, self.batch_id, description).map_err(state_error)
    }
}

pub(crate) fn state_error(error: StateError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(crate) fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The query was ended by its observer in the middle of a batch.
#[derive(Debug, thiserror::Error)]
#[error("the query was interrupted by its observer")]
pub(crate) struct Interrupted;

impl OperatorContext {
    pub(crate) fn new(
        watermarks: Watermarks,
        state_folder: PathBuf,
        stores: Arc<StateStores>,
    ) -> OperatorContext {
        OperatorContext { watermarks, state_folder, stores, metrics: Mutex::default() }
    }
}

/// The open stores of a query between its batches, by folder.
pub(crate) struct StateStores {
    memory: StateMemory,
    open: Mutex<BTreeMap<PathBuf, (u64, StateStore)>>,
}

impl StateStores {
    pub(crate) fn new(memory: StateMemory) -> StateStores {
        StateStores { memory, open: Mutex::default() }
    }

    fn take(
        &self,
        folder: &Path,
        version: u64,
        description: &StateDescription,
    ) -> Result<StateStore, StateError> {
        match self.open.lock().remove(folder) {
            Some((open, store)) if open == version => Ok(store),
            // A batch that failed half-way has left none, or one that is ahead.
            _ => StateStore::open(folder, version, description, &self.memory),
        }
    }

    fn put_back(&self, folder: PathBuf, version: u64, store: StateStore) {
        self.open.lock().insert(folder, (version, store));
    }

    /// Deletes the versions before `keep_from`.
    pub(crate) fn purge(&self, keep_from: u64) -> Result<(), StateError> {
        self.open.lock().values_mut().try_for_each(|(_, store)| store.purge(keep_from))
    }
}

/// The event times that a watermark has seen in a batch, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EventTimeStats {
    count: u64,
    min_us: i64,
    max_us: i64,
    sum_us: i128,
}

impl EventTimeStats {
    pub(crate) fn of(times_us: impl Iterator<Item = i64>) -> EventTimeStats {
        let mut stats = EventTimeStats { count: 0, min_us: i64::MAX, max_us: i64::MIN, sum_us: 0 };
        for time_us in times_us {
            stats.count += 1;
            stats.min_us = stats.min_us.min(time_us);
            stats.max_us = stats.max_us.max(time_us);
            stats.sum_us += i128::from(time_us);
        }
        stats
    }

    pub(crate) fn merge(&mut self, other: EventTimeStats) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        self.count += other.count;
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.sum_us += other.sum_us;
    }

    /// `None` where no row had an event time; Spark rounds towards the past.
    pub(crate) fn max_ms(&self) -> Option<i64> {
        (self.count > 0).then(|| self.max_us.div_euclid(1_000))
    }

    pub(crate) fn min_ms(&self) -> Option<i64> {
        (self.count > 0).then(|| self.min_us.div_euclid(1_000))
    }

    pub(crate) fn average_ms(&self) -> Option<i64> {
        let average = self.sum_us.checked_div(i128::from(self.count))?.div_euclid(1_000);
        i64::try_from(average).ok()
    }
}
