//! Where a query goes on: after its last committed batch, with the batch that was not committed, or at its start.

use std::time::Instant;

use super::report::Timing;
use super::{Batch, MAX_IDLE, Standing, StreamingQuery, StreamingQueryError, now_ms};
use crate::checkpoint::Resume;
use crate::checkpoint::offset_log::OffsetSeq;
use crate::kafka::offsets::PartitionOffsets;
use crate::kafka::options::StartingOffsets;
use crate::kafka::source::{KafkaSource, SourceError};
use crate::stop::StopSignal;
use crate::trigger::Trigger;

impl StreamingQuery {
    /// Finds where to go on, and runs the batch again that was not committed. `None` if it was stopped meanwhile.
    pub(super) async fn resume(
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

    /// From the checkpoint, or decided now and written there. Waits for topics unless the trigger is for what is there.
    async fn initial_offsets(
        &mut self,
        stop: &mut StopSignal,
    ) -> Result<Option<Vec<PartitionOffsets>>, StreamingQueryError> {
        let mut initial = Vec::new();
        for (index, source) in self.sources.clone().into_iter().enumerate() {
            if let Some(json) = self.checkpoint.initial_offsets(index)? {
                initial.push(PartitionOffsets::from_json(&json)?);
                continue;
            }
            let Some(offsets) = self.starting_offsets(source, stop).await? else {
                return Ok(None);
            };
            self.checkpoint.log_initial_offsets(index, &offsets.to_json())?;
            initial.push(offsets);
        }
        Ok(Some(initial))
    }

    async fn starting_offsets(
        &mut self,
        mut source: KafkaSource,
        stop: &mut StopSignal,
    ) -> Result<Option<PartitionOffsets>, StreamingQueryError> {
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
