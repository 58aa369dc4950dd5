//! Where a query goes on: after its last committed batch, with the batch that was not committed, or at its start.

use std::time::Instant;

use super::idle::MAX_IDLE;
use super::report::Timing;
use super::{Batch, Standing, StreamingQuery, StreamingQueryError, now_ms};
use crate::checkpoint::Resume;
use crate::checkpoint::offset_log::OffsetSeq;
use crate::operators::watermark_tracker::WatermarkTracker;
use crate::source::{Offset, SourceContext};
use crate::stop::StopSignal;
use crate::trigger::Trigger;

impl StreamingQuery {
    /// `false` if the query was stopped before its clusters answered.
    pub(super) async fn open_sources(&mut self, stop: &mut StopSignal) -> Result<bool, StreamingQueryError> {
        for (index, definition) in self.runner.definitions().into_iter().enumerate() {
            let context = SourceContext {
                folder: self.checkpoint.source_folder(index),
                query_id: self.checkpoint.query_id().to_owned(),
                connections: self.connections.clone(),
            };
            tokio::select! {
                source = definition.open(&context) => self.sources.push(source?),
                () = stop.requested() => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Finds where to go on, and runs the batch again that was not committed. `None` if it was stopped meanwhile.
    pub(super) async fn resume(
        &mut self,
        stop: &mut StopSignal,
    ) -> Result<Option<(Standing, bool)>, StreamingQueryError> {
        let resume = self.checkpoint.resume()?;
        let conf = match &resume {
            Resume::Start => None,
            Resume::Next { from: logged, .. } | Resume::Rerun { to: logged, .. } => logged.metadata.as_ref(),
        };
        let policy = self.runner.conf().watermark_policy(conf.map(|metadata| &metadata.conf));
        match resume {
            Resume::Start => {
                let Some(from) = self.initial_offsets(stop).await? else {
                    return Ok(None);
                };
                let watermark = WatermarkTracker::new(policy, 0);
                Ok(Some((Standing { next_batch: 0, from, metadata: None, watermark }, false)))
            }
            Resume::Next { batch_id, from } => {
                let committed = match batch_id.checked_sub(1) {
                    Some(last) => self.checkpoint.commit_metadata(last)?.unwrap_or_default(),
                    None => Default::default(),
                };
                let watermark = WatermarkTracker::new(policy, committed.next_batch_watermark_ms);
                let (from, metadata) = (self.parse(&from)?, from.metadata);
                // The run before may have been killed after its commit.
                self.commit_sources(&from).await?;
                Ok(Some((Standing { next_batch: batch_id, from, metadata, watermark }, false)))
            }
            Resume::Rerun { batch_id, from, to } => {
                let late_ms = late_ms(from.as_ref());
                let from = match from {
                    Some(from) => self.parse(&from)?,
                    None => match self.initial_offsets(stop).await? {
                        Some(from) => from,
                        None => return Ok(None),
                    },
                };
                let to_offsets = self.parse(&to)?;
                let metadata = to.metadata.unwrap_or_default();
                let watermark = WatermarkTracker::new(policy, metadata.batch_watermark_ms);
                let latest = vec![None; to_offsets.len()];
                let is_first = batch_id == 0;
                let batch = Batch { id: batch_id, from, to: to_offsets, metadata, latest, is_first };
                let mut timing = Timing::start(Instant::now(), now_ms());
                let watermark = self.run_batch(&batch, late_ms, watermark, &mut timing).await?;
                let (from, metadata) = (batch.to, Some(batch.metadata));
                Ok(Some((Standing { next_batch: batch_id + 1, from, metadata, watermark }, true)))
            }
        }
    }

    /// Waits for what the sources read, unless the trigger is for what is there.
    async fn initial_offsets(
        &mut self,
        stop: &mut StopSignal,
    ) -> Result<Option<Vec<Option<Offset>>>, StreamingQueryError> {
        let waits = matches!(self.trigger, Trigger::ProcessingTime(_));
        let mut initial = Vec::new();
        let mut told = false;
        for source in &mut self.sources {
            loop {
                let error = match source.initial_offset().await {
                    Err(error) if waits && error.is_not_there_yet() => error,
                    offset => {
                        initial.push(offset?);
                        break;
                    }
                };
                if !std::mem::replace(&mut told, true) {
                    self.observer.lock().waits(&error.to_string());
                }
                tokio::select! {
                    () = stop.requested() => return Ok(None),
                    () = tokio::time::sleep(MAX_IDLE) => {}
                }
            }
        }
        Ok(Some(initial))
    }

    fn parse(&self, offsets: &OffsetSeq) -> Result<Vec<Option<Offset>>, StreamingQueryError> {
        let (logged, requested) = (offsets.offsets.len(), self.sources.len());
        if logged != requested {
            return Err(StreamingQueryError::SourceCount { logged, requested });
        }
        let offsets = self.sources.iter().zip(&offsets.offsets);
        let parsed =
            offsets.map(|(source, json)| json.as_deref().map(|json| source.offset(json)).transpose());
        parsed.map(|offset| offset.map_err(StreamingQueryError::from)).collect()
    }
}

/// The watermark of the batch before the one that runs again.
fn late_ms(before: Option<&OffsetSeq>) -> i64 {
    let metadata = before.and_then(|before| before.metadata.as_ref());
    metadata.map_or(0, |metadata| metadata.batch_watermark_ms)
}
