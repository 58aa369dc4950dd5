//! The protocol of a query: log what a batch reads, run it, give its rows to the sink, log that it is done.
//! Spark's `MicroBatchExecution`.
//!
//! Killed between any two steps, the query goes on with the batch that was logged and not committed, over the very
//! range that was logged. State of version N+1 is written before the sink gets batch N's rows, and written again then.

mod report;
mod resume;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ottla_client::Client;
use thiserror::Error;
use uuid::Uuid;

use crate::batch_run::{BatchRunError, BatchRunner};
use crate::checkpoint::commit_log::CommitMetadata;
use crate::checkpoint::offset_log::{OffsetSeq, OffsetSeqMetadata};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::kafka::offsets::{OffsetsJsonError, PartitionOffsets};
use crate::kafka::rate_limit::rate_limit;
use crate::kafka::source::{KafkaSource, LatestOffsets, SourceError};
use crate::progress::StreamingQueryProgress;
use crate::session::StreamingPlan;
use crate::sink::Sink;
use crate::stop::StopSignal;
use crate::trigger::Trigger;
use report::Timing;

/// How long the broker holds back its answer while nothing comes; new partitions are looked for as often.
const MAX_IDLE: Duration = Duration::from_millis(500);

/// A query with a checkpoint, a sink and a trigger.
pub struct StreamingQuery {
    checkpoint: Checkpoint,
    sources: Vec<KafkaSource>,
    runner: BatchRunner,
    trigger: Trigger,
    observer: Box<dyn Observer>,
    run_id: Uuid,
    last_trigger: Option<Instant>,
}

/// Sees what the query does.
pub trait Observer: Send {
    fn progress(&mut self, _progress: &StreamingQueryProgress) {}

    /// The query waits for topics that are not there yet; told once.
    fn waits(&mut self, _reason: &str) {}

    /// A step of a batch is done. `Break` ends the query on the spot, as a kill would: for tests.
    fn step(&mut self, _batch_id: u64, _step: Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The steps of a batch, in order.
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
    #[error("the offsets in the checkpoint cannot be read: {0}")]
    Offsets(#[from] OffsetsJsonError),
    #[error(
        "There are {logged} sources in the checkpoint offsets and now there are {requested} sources requested by the \
         query. Cannot continue."
    )]
    SourceCount { logged: usize, requested: usize },
    #[error("batch {batch_id} failed: {source}")]
    Batch { batch_id: u64, source: BatchRunError },
    #[error("the query was interrupted by its observer")]
    Interrupted,
}

/// What one batch reads, of each source.
struct Batch {
    id: u64,
    /// Empty partition maps for a source that has no offset yet.
    from: Vec<PartitionOffsets>,
    to: Vec<PartitionOffsets>,
    metadata: OffsetSeqMetadata,
    /// The ends of the partitions, where they were asked for.
    latest: Option<Vec<PartitionOffsets>>,
    is_first: bool,
}

/// Where the query stands: everything before is committed.
struct Standing {
    next_batch: u64,
    from: Vec<PartitionOffsets>,
    /// Of the last batch.
    metadata: Option<OffsetSeqMetadata>,
}

impl StreamingQuery {
    pub fn new(
        plan: StreamingPlan,
        client: &Client,
        checkpoint: Checkpoint,
        sink: Box<dyn Sink>,
        trigger: Trigger,
        observer: Box<dyn Observer>,
    ) -> StreamingQuery {
        let options = plan.streams.iter().map(|stream| stream.options.clone());
        let sources = options.map(|options| KafkaSource::new(client.clone(), options)).collect();
        let runner = BatchRunner::new(plan, checkpoint.state_folder(0), sink);
        StreamingQuery {
            checkpoint,
            sources,
            runner,
            trigger,
            observer,
            run_id: Uuid::new_v4(),
            last_trigger: None,
        }
    }

    /// Runs until the trigger has no more batches, or until it is asked to stop.
    pub async fn run(mut self, mut stop: StopSignal) -> Result<(), StreamingQueryError> {
        let Some((mut standing, reran)) = self.resume(&mut stop).await? else {
            return Ok(());
        };
        if reran && self.trigger == Trigger::Once {
            return Ok(());
        }
        let mut available_now = None;
        while !stop.is_requested() {
            let started = (Instant::now(), now_ms());
            let latest = match &available_now {
                Some(latest) => Clone::clone(latest),
                None => self.latest_offsets(&standing.from).await?,
            };
            if self.trigger == Trigger::AvailableNow {
                available_now.get_or_insert_with(|| latest.clone());
            }
            let to = self.limited(&standing.from, &latest);
            // Spark runs its first batch even where there is nothing to read.
            if standing.next_batch > 0 && to == standing.from {
                match self.trigger {
                    Trigger::Once | Trigger::AvailableNow => return Ok(()),
                    Trigger::ProcessingTime(interval) => {
                        self.idle(interval, &standing.from, &mut stop).await?;
                    }
                }
                continue;
            }
            standing = self.run_next(standing, latest, to, started).await?;
            match self.trigger {
                Trigger::Once => return Ok(()),
                Trigger::AvailableNow => {}
                Trigger::ProcessingTime(interval) => wait_for_tick(interval, &mut stop).await,
            }
        }
        Ok(())
    }

    /// Logs the next batch and runs it.
    async fn run_next(
        &mut self,
        standing: Standing,
        latest: Vec<LatestOffsets>,
        to: Vec<PartitionOffsets>,
        (started, timestamp_ms): (Instant, i64),
    ) -> Result<Standing, StreamingQueryError> {
        let mut timing = Timing::start(started, timestamp_ms);
        timing.mark("latestOffset");
        let earlier = standing.metadata.as_ref().map(|metadata| &metadata.conf);
        let metadata = OffsetSeqMetadata {
            batch_watermark_ms: 0,
            batch_timestamp_ms: now_ms(),
            conf: self.runner.conf().logged(earlier),
        };
        let offsets = to.iter().map(|offsets| Some(offsets.to_json())).collect();
        let id = standing.next_batch;
        self.checkpoint.log_offsets(id, &OffsetSeq { metadata: Some(metadata.clone()), offsets })?;
        self.step(id, Step::OffsetsLogged)?;
        self.purge(id)?;
        timing.mark("walCommit");
        let latest = latest.into_iter().map(|latest| latest.ends).collect();
        let batch = Batch { id, from: standing.from, to, metadata, latest: Some(latest), is_first: id == 0 };
        self.run_batch(&batch, &mut timing).await?;
        Ok(Standing { next_batch: id + 1, from: batch.to, metadata: Some(batch.metadata) })
    }

    /// The steps after the first one.
    async fn run_batch(&mut self, batch: &Batch, timing: &mut Timing) -> Result<(), StreamingQueryError> {
        let failed = |source| StreamingQueryError::Batch { batch_id: batch.id, source };
        let mut ranges = Vec::new();
        for ((source, from), to) in self.sources.iter().zip(&batch.from).zip(&batch.to) {
            ranges.push(source.ranges(from, to).await?);
        }
        self.runner.read(&self.sources, ranges);
        timing.mark("getBatch");
        let planned = self.runner.plan(batch.id, batch.metadata.batch_timestamp_ms).await.map_err(failed)?;
        timing.mark("queryPlanning");
        let computed = self.runner.update_state(planned).await.map_err(failed)?;
        self.step(batch.id, Step::StateWritten)?;
        let end_offsets = batch.to.iter().map(|offsets| Some(offsets.to_json())).collect();
        let run = self.runner.write_rows(computed, end_offsets).await.map_err(failed)?;
        self.step(batch.id, Step::RowsWritten)?;
        timing.mark("addBatch");
        self.checkpoint.log_commit(batch.id, CommitMetadata::default())?;
        self.step(batch.id, Step::Committed)?;
        timing.mark("commitOffsets");
        let progress = self.progress(batch, timing, run);
        self.observer.progress(&progress);
        Ok(())
    }

    async fn latest_offsets(&self, from: &[PartitionOffsets]) -> Result<Vec<LatestOffsets>, SourceError> {
        let sources = self.sources.iter().zip(from);
        futures::future::try_join_all(sources.map(|(source, from)| source.latest_offsets(from))).await
    }

    /// Where the next batch ends.
    fn limited(&self, from: &[PartitionOffsets], latest: &[LatestOffsets]) -> Vec<PartitionOffsets> {
        let sources = self.sources.iter().zip(from).zip(latest);
        let limited = sources.map(|((source, from), latest)| {
            match source.options().max_offsets_per_trigger.filter(|_| self.trigger != Trigger::Once) {
                None => latest.ends.clone(),
                Some(limit) => {
                    let mut known = latest.beginnings.clone();
                    known.0.extend(from.0.clone());
                    rate_limit(limit, &known, &latest.ends)
                }
            }
        });
        limited.collect()
    }

    /// Waits until the broker has something, or for the trigger's next tick.
    async fn idle(
        &self,
        interval: Duration,
        from: &[PartitionOffsets],
        stop: &mut StopSignal,
    ) -> Result<(), StreamingQueryError> {
        if !interval.is_zero() {
            wait_for_tick(interval, stop).await;
            return Ok(());
        }
        let sources = self.sources.iter().zip(from);
        let waits = sources.map(|(source, from)| Box::pin(source.wait_for_records(from, MAX_IDLE)));
        tokio::select! {
            () = stop.requested() => {}
            (first, _, _) = futures::future::select_all(waits) => first?,
        }
        Ok(())
    }

    fn purge(&self, batch_id: u64) -> Result<(), CheckpointError> {
        match batch_id.checked_sub(self.runner.conf().min_batches_to_retain()) {
            Some(keep_from @ 1..) => self.checkpoint.purge(keep_from),
            _ => Ok(()),
        }
    }

    fn step(&mut self, batch_id: u64, step: Step) -> Result<(), StreamingQueryError> {
        match self.observer.step(batch_id, step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StreamingQueryError::Interrupted),
        }
    }
}

/// Waits for the next multiple of the interval on the clock, as Spark's triggers do.
async fn wait_for_tick(interval: Duration, stop: &mut StopSignal) {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    if interval_ms == 0 {
        return;
    }
    let wait_ms = interval_ms - now_ms().rem_euclid(interval_ms);
    tokio::select! {
        () = stop.requested() => {}
        () = tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())) => {}
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
