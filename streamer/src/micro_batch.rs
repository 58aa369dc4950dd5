//! The protocol of a query: log what a batch reads, run it, give its rows to the sink, log that it is done.
//! Spark's `MicroBatchExecution`.
//!
//! Killed between any two steps, the query goes on with the batch that was logged and not committed, over the very
//! range that was logged. State of version N+1 is written before the sink gets batch N's rows, and written again then.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ottla_client::Client;
use thiserror::Error;
use uuid::Uuid;

use crate::batch_run::{BatchRun, BatchRunError, BatchRunner};
use crate::checkpoint::commit_log::CommitMetadata;
use crate::checkpoint::offset_log::{OffsetSeq, OffsetSeqMetadata};
use crate::checkpoint::{Checkpoint, CheckpointError, Resume};
use crate::kafka::offsets::{OffsetsJsonError, PartitionOffsets};
use crate::kafka::options::StartingOffsets;
use crate::kafka::rate_limit::rate_limit;
use crate::kafka::source::{KafkaSource, LatestOffsets, SourceError};
use crate::progress::{
    SinkProgress, SourceProgress, StreamingQueryProgress, iso_timestamp, offsets_behind_latest,
    rows_per_second,
};
use crate::session::StreamingPlan;
use crate::sink::Sink;
use crate::stop::StopSignal;
use crate::trigger::Trigger;

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

    /// Finds where to go on, and runs the batch again that was not committed. `None` if it was stopped meanwhile.
    async fn resume(
        &mut self,
        stop: &mut StopSignal,
    ) -> Result<Option<(Standing, bool)>, StreamingQueryError> {
        match self.checkpoint.resume()? {
            Resume::Start => {
                let Some(from) = self.initial_offsets(stop).await? else {
                    return Ok(None);
                };
                Ok(Some((Standing { next_batch: 0, from, metadata: None }, false)))
            }
            Resume::Next { batch_id, from } => {
                let standing =
                    Standing { next_batch: batch_id, from: self.parse(&from)?, metadata: from.metadata };
                Ok(Some((standing, false)))
            }
            Resume::Rerun { batch_id, from, to } => {
                let from = match from {
                    Some(from) => self.parse(&from)?,
                    None => match self.initial_offsets(stop).await? {
                        Some(from) => from,
                        None => return Ok(None),
                    },
                };
                let to_offsets = self.parse(&to)?;
                let metadata = to.metadata.unwrap_or_default();
                let batch = Batch {
                    id: batch_id,
                    from,
                    to: to_offsets,
                    metadata,
                    latest: None,
                    is_first: batch_id == 0,
                };
                let mut timing = Timing::start(Instant::now(), now_ms());
                self.run_batch(&batch, &mut timing).await?;
                let standing =
                    Standing { next_batch: batch_id + 1, from: batch.to, metadata: Some(batch.metadata) };
                Ok(Some((standing, true)))
            }
        }
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
        let run = self.runner.write_rows(computed).await.map_err(failed)?;
        self.step(batch.id, Step::RowsWritten)?;
        timing.mark("addBatch");
        self.checkpoint.log_commit(batch.id, CommitMetadata::default())?;
        self.step(batch.id, Step::Committed)?;
        timing.mark("commitOffsets");
        let progress = self.progress(batch, timing, run);
        self.observer.progress(&progress);
        Ok(())
    }

    /// From the checkpoint, or decided now and written there. Waits for topics unless the trigger is for what is there.
    async fn initial_offsets(
        &mut self,
        stop: &mut StopSignal,
    ) -> Result<Option<Vec<PartitionOffsets>>, StreamingQueryError> {
        let mut initial = Vec::new();
        for index in 0..self.sources.len() {
            if let Some(json) = self.checkpoint.initial_offsets(index)? {
                initial.push(PartitionOffsets::from_json(&json)?);
                continue;
            }
            let Some(offsets) = self.starting_offsets(index, stop).await? else {
                return Ok(None);
            };
            self.checkpoint.log_initial_offsets(index, &offsets.to_json())?;
            initial.push(offsets);
        }
        Ok(Some(initial))
    }

    async fn starting_offsets(
        &mut self,
        index: usize,
        stop: &mut StopSignal,
    ) -> Result<Option<PartitionOffsets>, StreamingQueryError> {
        let mut source = self.sources[index].clone();
        let waits = matches!(self.trigger, Trigger::ProcessingTime(_));
        let mut told = false;
        loop {
            let error = match source.starting_offsets().await {
                Err(error @ SourceError::UnknownTopic { .. }) if waits => error,
                offsets => return Ok(Some(offsets?)),
            };
            if !std::mem::replace(&mut told, true) {
                self.observer.waits(&error.to_string());
            }
            // What is written to a topic that was not there when the query began has come after its start.
            source = source.with_latest_as_earliest();
            tokio::select! {
                () = stop.requested() => return Ok(None),
                () = tokio::time::sleep(MAX_IDLE) => {}
            }
        }
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

    fn parse(&self, offsets: &OffsetSeq) -> Result<Vec<PartitionOffsets>, StreamingQueryError> {
        let (logged, requested) = (offsets.offsets.len(), self.sources.len());
        if logged != requested {
            return Err(StreamingQueryError::SourceCount { logged, requested });
        }
        let parse = |json: &Option<String>| {
            json.as_deref().map_or(Ok(PartitionOffsets::default()), PartitionOffsets::from_json)
        };
        Ok(offsets.offsets.iter().map(parse).collect::<Result<_, _>>()?)
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

    fn progress(&mut self, batch: &Batch, timing: &Timing, run: BatchRun) -> StreamingQueryProgress {
        let elapsed = timing.started.elapsed();
        let since_last = self.last_trigger.replace(timing.started).map(|last| timing.started - last);
        let num_input_rows = run.input_rows.iter().sum();
        let sources = (0..).zip(&self.sources).map(|(index, source): (usize, _)| {
            let rows = run.input_rows.get(index).copied().unwrap_or_default();
            let latest = batch.latest.as_ref().and_then(|latest| latest.get(index));
            let end = batch.to.get(index).cloned().unwrap_or_default();
            SourceProgress {
                description: source.description(),
                start_offset: batch.from.get(index).filter(|_| !batch.is_first).map(PartitionOffsets::to_map),
                latest_offset: latest.map(PartitionOffsets::to_map),
                num_input_rows: rows,
                input_rows_per_second: rows_per_second(rows, since_last),
                processed_rows_per_second: rows_per_second(rows, Some(elapsed)),
                metrics: offsets_behind_latest(&end, latest),
                end_offset: end.to_map(),
            }
        });
        let mut duration_ms = timing.durations_ms.clone();
        duration_ms.insert("triggerExecution", as_ms(elapsed));
        StreamingQueryProgress {
            id: self.checkpoint.query_id().to_owned(),
            run_id: self.run_id.to_string(),
            name: None,
            timestamp: iso_timestamp(timing.timestamp_ms),
            batch_id: batch.id,
            batch_duration: as_ms(elapsed),
            num_input_rows,
            input_rows_per_second: rows_per_second(num_input_rows, since_last),
            processed_rows_per_second: rows_per_second(num_input_rows, Some(elapsed)),
            duration_ms,
            state_operators: run.state_operator.into_iter().collect(),
            sources: sources.collect(),
            sink: SinkProgress {
                description: self.runner.sink_description(),
                num_output_rows: run.output_rows,
            },
        }
    }
}

/// How long the phases of a batch took.
struct Timing {
    started: Instant,
    timestamp_ms: i64,
    last_mark: Instant,
    durations_ms: BTreeMap<&'static str, u64>,
}

impl Timing {
    fn start(started: Instant, timestamp_ms: i64) -> Timing {
        Timing { started, timestamp_ms, last_mark: started, durations_ms: BTreeMap::new() }
    }

    /// Ends a phase.
    fn mark(&mut self, phase: &'static str) {
        let now = Instant::now();
        self.durations_ms.insert(phase, as_ms(now - self.last_mark));
        self.last_mark = now;
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

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl KafkaSource {
    /// For a query that began before its topic.
    fn with_latest_as_earliest(self) -> KafkaSource {
        let mut options = self.options().clone();
        if options.starting == StartingOffsets::Latest {
            options.starting = StartingOffsets::Earliest;
        }
        KafkaSource::new(self.client().clone(), options)
    }
}
