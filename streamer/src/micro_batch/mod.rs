//! The protocol of a query: log what a batch reads, run it, give its rows to the sink, log that it is done.
//! Spark's `MicroBatchExecution`.
//!
//! Killed between any two steps, the query goes on with the batch that was logged and not committed, over the very
//! range that was logged. State of version N+1 is written before the sink has all of batch N's rows, and written again
//! then.

mod idle;
mod report;
mod resume;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use thiserror::Error;
use uuid::Uuid;

use crate::batch_run::{BatchRunError, BatchRunner, BatchTask};
use crate::checkpoint::commit_log::CommitMetadata;
use crate::checkpoint::offset_log::{OffsetSeq, OffsetSeqMetadata};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::event::StreamingQueryEvent;
use crate::operators::context::Watermarks;
use crate::operators::watermark_tracker::WatermarkTracker;
use crate::progress::StreamingQueryProgress;
use crate::session::StreamingPlan;
use crate::set_aside::SetAside;
use crate::sink::{Sink, SinkError};
use crate::source::{Connections, LatestOffset, Offset, ReadLimit, Source, SourceError};
use crate::stop::StopSignal;
use crate::trigger::Trigger;
use report::Timing;

/// A query with a checkpoint, a sink and a trigger.
pub struct StreamingQuery {
    checkpoint: Checkpoint,
    connections: Arc<Connections>,
    /// Opened when the query runs.
    sources: Vec<Box<dyn Source>>,
    runner: BatchRunner,
    trigger: Trigger,
    observer: SharedObserver,
    name: Option<String>,
    run_id: Uuid,
    operators_are_checked: bool,
    last_trigger: Option<Instant>,
    /// When the query last told that it is alive.
    last_event: Instant,
}

/// Its steps are told from inside a batch, too.
pub(crate) type SharedObserver = Arc<Mutex<Box<dyn Observer>>>;

/// Sees what the query does.
pub trait Observer: Send {
    fn progress(&mut self, _progress: &StreamingQueryProgress) {}

    fn event(&mut self, _event: &StreamingQueryEvent) {}

    /// The sources were asked, and have nothing for a batch.
    fn idle(&mut self) {}

    /// The query waits for topics that are not there yet; told once.
    fn waits(&mut self, _reason: &str) {}

    /// A step of a batch is done. `Break` ends the query on the spot, as a kill would: for tests.
    fn step(&mut self, _batch_id: u64, _step: Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The steps of a batch, in order. Each stateful operator writes its state for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    OffsetsLogged,
    StateWritten,
    RowsWritten,
    Committed,
}

#[derive(Debug, Error)]
pub enum StreamingQueryError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "There are {logged} sources in the checkpoint offsets and now there are {requested} sources requested by the \
         query. Cannot continue."
    )]
    SourceCount { logged: usize, requested: usize },
    /// The sink does not take the rows of this output mode.
    #[error(transparent)]
    Sink(SinkError),
    #[error("batch {batch_id} failed: {source}")]
    Batch { batch_id: u64, source: BatchRunError },
    #[error("the query was interrupted by its observer")]
    Interrupted,
}

/// What one batch reads, of each source. `None` for a source that has no offset yet.
struct Batch {
    id: u64,
    from: Vec<Option<Offset>>,
    to: Vec<Option<Offset>>,
    metadata: OffsetSeqMetadata,
    /// How far the sources reach, where they were asked.
    latest: Vec<Option<Offset>>,
    is_first: bool,
}

/// Where the query stands: everything before is committed.
struct Standing {
    next_batch: u64,
    from: Vec<Option<Offset>>,
    /// Of the last batch.
    metadata: Option<OffsetSeqMetadata>,
    watermark: WatermarkTracker,
}

impl StreamingQuery {
    pub fn new(
        plan: StreamingPlan,
        connections: Arc<Connections>,
        checkpoint: Checkpoint,
        sink: Box<dyn Sink>,
        trigger: Trigger,
        observer: Box<dyn Observer>,
    ) -> StreamingQuery {
        let runner = BatchRunner::new(plan, &checkpoint, sink);
        StreamingQuery {
            checkpoint,
            connections,
            sources: Vec::new(),
            runner,
            trigger,
            observer: Arc::new(Mutex::new(observer)),
            name: None,
            run_id: Uuid::new_v4(),
            operators_are_checked: false,
            last_trigger: None,
            last_event: Instant::now(),
        }
    }

    pub(crate) fn with_run_id(self, run_id: Uuid) -> StreamingQuery {
        StreamingQuery { run_id, ..self }
    }

    /// As it is called in the progress.
    pub fn with_name(self, name: &str) -> StreamingQuery {
        StreamingQuery { name: Some(name.to_owned()), ..self }
    }

    /// Late rows of its aggregations go there, instead of being counted only.
    pub fn with_late_rows(mut self, late_rows: SetAside) -> StreamingQuery {
        self.runner.set_late_rows(late_rows);
        self
    }

    /// Records that do not fit the schema of `from_json` or of a file source go there, instead of being counted only.
    pub fn with_malformed_rows(mut self, malformed: SetAside) -> StreamingQuery {
        self.runner.set_malformed_rows(malformed);
        self
    }

    /// Runs until the trigger has no more batches, or until it is asked to stop.
    pub async fn run(mut self, stop: StopSignal) -> Result<(), StreamingQueryError> {
        let (id, run_id, name) = (self.checkpoint.query_id().to_owned(), self.run_id, self.name.clone());
        let observer = self.observer.clone();
        observer.lock().event(&StreamingQueryEvent::started(&id, run_id, name, now_ms()));
        let ended = self.run_batches(stop).await;
        for source in &mut self.sources {
            source.close().await;
        }
        let exception = ended.as_ref().err().map(ToString::to_string);
        observer.lock().event(&StreamingQueryEvent::terminated(&id, run_id, exception));
        ended
    }

    async fn run_batches(&mut self, mut stop: StopSignal) -> Result<(), StreamingQueryError> {
        self.runner.check_sink().map_err(StreamingQueryError::Sink)?;
        if !self.open_sources(&mut stop).await? {
            return Ok(());
        }
        let Some((mut standing, reran)) = self.resume(&mut stop).await? else {
            return Ok(());
        };
        if reran && self.trigger == Trigger::Once {
            return Ok(());
        }
        if self.trigger == Trigger::AvailableNow {
            for source in &mut self.sources {
                source.prepare_for_available_now().await?;
            }
        }
        while !stop.is_requested() {
            let started = (Instant::now(), now_ms());
            let latest = self.latest_offsets(&standing.from).await?;
            if !self.has_batch(&standing, &latest) {
                self.observer.lock().idle();
                match self.trigger {
                    Trigger::Once | Trigger::AvailableNow => return Ok(()),
                    Trigger::ProcessingTime(interval) => {
                        self.idle(interval, &standing.from, &mut stop).await?;
                    }
                }
                continue;
            }
            standing = self.run_next(standing, latest, started).await?;
            match self.trigger {
                Trigger::Once => return Ok(()),
                Trigger::AvailableNow => {}
                Trigger::ProcessingTime(interval) => idle::wait_for_tick(interval, &mut stop).await,
            }
        }
        Ok(())
    }

    /// Whether there is data, or a watermark that has moved lets operators give out rows or drop state.
    fn has_batch(&self, standing: &Standing, latest: &[LatestOffset]) -> bool {
        let is_first = standing.next_batch == 0;
        let mut offsets = standing.from.iter().zip(latest);
        // Spark runs its first batch even where there is nothing between two offsets.
        offsets.any(|(from, latest)| latest.end.is_some() && (is_first || latest.end != *from))
            || self.runner.conf().runs_without_data()
                && self.runner.waits_for(standing.watermark.watermark_ms())
    }

    /// Logs the next batch and runs it.
    async fn run_next(
        &mut self,
        standing: Standing,
        latest: Vec<LatestOffset>,
        (started, timestamp_ms): (Instant, i64),
    ) -> Result<Standing, StreamingQueryError> {
        let mut timing = Timing::start(started, timestamp_ms);
        timing.mark("latestOffset");
        let earlier = standing.metadata.as_ref().map(|metadata| &metadata.conf);
        let metadata = OffsetSeqMetadata {
            batch_watermark_ms: standing.watermark.watermark_ms(),
            batch_timestamp_ms: now_ms(),
            conf: self.runner.conf().logged(earlier),
        };
        let (ends, latest): (Vec<_>, Vec<_>) =
            latest.into_iter().map(|latest| (latest.end, latest.available)).unzip();
        let to: Vec<_> =
            ends.into_iter().zip(&standing.from).map(|(end, from)| end.or(from.clone())).collect();
        let offsets = to.iter().map(|offset| offset.clone().map(|offset| offset.0)).collect();
        let id = standing.next_batch;
        self.checkpoint.log_offsets(id, &OffsetSeq { metadata: Some(metadata.clone()), offsets })?;
        self.step(id, Step::OffsetsLogged)?;
        self.purge(id)?;
        timing.mark("walCommit");
        let batch = Batch { id, from: standing.from, to, metadata, latest, is_first: id == 0 };
        let late_ms = standing.metadata.map_or(0, |metadata| metadata.batch_watermark_ms);
        let watermark = self.run_batch(&batch, late_ms, standing.watermark, &mut timing).await?;
        Ok(Standing { next_batch: id + 1, from: batch.to, metadata: Some(batch.metadata), watermark })
    }

    /// The steps after the first one. `late_ms` is the watermark of the batch before.
    async fn run_batch(
        &mut self,
        batch: &Batch,
        late_ms: i64,
        mut watermark: WatermarkTracker,
        timing: &mut Timing,
    ) -> Result<WatermarkTracker, StreamingQueryError> {
        let failed = |source| match source {
            BatchRunError::Interrupted => StreamingQueryError::Interrupted,
            source => StreamingQueryError::Batch { batch_id: batch.id, source },
        };
        let mut reads = Vec::new();
        for ((source, from), to) in self.sources.iter_mut().zip(&batch.from).zip(&batch.to) {
            reads.push(match to {
                Some(to) if from.as_ref() != Some(to) => Some(source.batch(from.as_ref(), to).await?),
                _ => None,
            });
        }
        timing.mark("getBatch");
        let task = BatchTask {
            id: batch.id,
            timestamp_ms: batch.metadata.batch_timestamp_ms,
            watermarks: Watermarks { late_ms, eviction_ms: batch.metadata.batch_watermark_ms },
            end_offsets: batch.to.iter().map(|to| to.clone().map(|to| to.0)).collect(),
            observer: self.observer.clone(),
        };
        let planned = self.runner.plan(task, reads).await.map_err(failed)?;
        if !std::mem::replace(&mut self.operators_are_checked, true) {
            self.checkpoint.check_operators(&BatchRunner::operator_names(&planned))?;
        }
        timing.mark("queryPlanning");
        let run = self.runner.run(planned).await.map_err(failed)?;
        self.step(batch.id, Step::RowsWritten)?;
        timing.mark("addBatch");
        watermark.update(&run.event_times);
        let commit = CommitMetadata { next_batch_watermark_ms: watermark.watermark_ms() };
        self.checkpoint.log_commit(batch.id, commit)?;
        self.step(batch.id, Step::Committed)?;
        self.commit_sources(&batch.to).await?;
        timing.mark("commitOffsets");
        let progress = self.progress(batch, timing, run);
        self.observer.lock().progress(&progress);
        self.last_event = Instant::now();
        Ok(watermark)
    }

    async fn commit_sources(&mut self, ends: &[Option<Offset>]) -> Result<(), SourceError> {
        for (source, end) in self.sources.iter_mut().zip(ends) {
            if let Some(end) = end {
                source.commit(end).await?;
            }
        }
        Ok(())
    }

    async fn latest_offsets(&mut self, from: &[Option<Offset>]) -> Result<Vec<LatestOffset>, SourceError> {
        let limit =
            if self.trigger == Trigger::Once { ReadLimit::AllAvailable } else { ReadLimit::OwnOptions };
        let sources = self.sources.iter_mut().zip(from);
        futures::future::try_join_all(
            sources.map(|(source, from)| source.latest_offset(from.as_ref(), limit)),
        )
        .await
    }

    fn purge(&self, batch_id: u64) -> Result<(), CheckpointError> {
        match batch_id.checked_sub(self.runner.conf().min_batches_to_retain()) {
            Some(keep_from @ 1..) => self.checkpoint.purge(keep_from),
            _ => Ok(()),
        }
    }

    fn step(&mut self, batch_id: u64, step: Step) -> Result<(), StreamingQueryError> {
        match self.observer.lock().step(batch_id, step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StreamingQueryError::Interrupted),
        }
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
