//! A topic, or several, as a source of micro-batches. Spark's `KafkaMicroBatchStream`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::error::Result as EngineResult;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::group_offsets::GroupOffsets;
use super::offsets::PartitionOffsets;
use super::options::{KafkaOptions, StartingOffsets};
use super::rate_limit::rate_limit;
use super::read::PartitionRead;
use super::schema::{self, Column};
use super::source::{KafkaSource, KafkaSourceError, LatestOffsets, OffsetRange};
use super::split::split;
use crate::checkpoint::initial_offsets;
use crate::progress::offsets_behind_latest;
use crate::source::{
    BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition, SourceError,
};

/// What a query says of a Kafka source.
#[derive(Clone, Debug)]
pub struct KafkaDefinition {
    options: KafkaOptions,
    schema: SchemaRef,
}

impl KafkaDefinition {
    pub fn new(options: KafkaOptions, time_zone: &str) -> KafkaDefinition {
        let schema = schema::schema(options.include_headers, time_zone);
        KafkaDefinition { options, schema }
    }
}

#[async_trait]
impl SourceDefinition for KafkaDefinition {
    fn description(&self) -> String {
        format!("{} at {}", self.options.description(), self.options.bootstrap_servers)
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let client = context.connections.client(&self.options.bootstrap_servers).await?;
        Ok(Box::new(KafkaStream {
            group_offsets: GroupOffsets::new(client.clone(), &self.options.group, &context.query_id),
            source: KafkaSource::new(client, self.options.clone()),
            schema: self.schema.clone(),
            initial_offsets: context.folder.join("0"),
            available_now: None,
            last_trigger: None,
            is_held_back: false,
        }))
    }
}

struct KafkaStream {
    source: KafkaSource,
    schema: SchemaRef,
    /// The file that says where the query began.
    initial_offsets: PathBuf,
    /// All that there is to read, once that is fixed.
    available_now: Option<LatestOffsets>,
    group_offsets: GroupOffsets,
    /// When offsets were last given out, for `minOffsetsPerTrigger`.
    last_trigger: Option<Instant>,
    /// There are offsets, but too few.
    is_held_back: bool,
}

impl KafkaStream {
    /// Whether there are fewer offsets than `minOffsetsPerTrigger`, and `maxTriggerDelay` is not over. Not for
    /// `availableNow`, which takes what there is.
    fn holds_back(&mut self, from: &PartitionOffsets, latest: &LatestOffsets) -> bool {
        let options = self.source.options();
        let Some(min) = options.min_offsets_per_trigger.filter(|_| self.available_now.is_none()) else {
            return false;
        };
        let begin = |partition| from.0.get(partition).or_else(|| latest.beginnings.0.get(partition));
        let new =
            latest.ends.0.iter().filter_map(|(partition, end)| Some(end.saturating_sub(*begin(partition)?)));
        let is_due = self.last_trigger.is_none_or(|last| last.elapsed() >= options.max_trigger_delay);
        let holds_back = !is_due && new.sum::<i64>() < i64::try_from(min).unwrap_or(i64::MAX);
        if !holds_back {
            self.last_trigger = Some(Instant::now());
        }
        holds_back
    }
}

#[async_trait]
impl Source for KafkaStream {
    fn description(&self) -> String {
        self.source.description()
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(offset(&PartitionOffsets::from_json(json)?))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        if let Some(json) = initial_offsets::read(&self.initial_offsets)? {
            return Ok(Some(self.offset(&json)?));
        }
        let found = self.source.starting_offsets().await;
        if matches!(found, Err(KafkaSourceError::UnknownTopic { .. })) {
            // What is written to a topic that was not there when the query began has come after its start.
            self.source = self.source.clone().with_latest_as_earliest();
        }
        let offset = offset(&found?);
        initial_offsets::write(&self.initial_offsets, &offset.0)?;
        Ok(Some(offset))
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(self.source.latest_offsets(&PartitionOffsets::default()).await?);
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        let from = partition_offsets(from)?;
        let latest = match &self.available_now {
            Some(fixed) => fixed.clone(),
            None => self.source.latest_offsets(&from).await?,
        };
        let available = Some(offset(&latest.ends));
        self.is_held_back = limit == ReadLimit::OwnOptions && self.holds_back(&from, &latest);
        if self.is_held_back {
            return Ok(LatestOffset { end: Some(offset(&from)), available });
        }
        let max = self.source.options().max_offsets_per_trigger.filter(|_| limit == ReadLimit::OwnOptions);
        let end = match max {
            None => latest.ends.clone(),
            Some(max) => {
                let mut known = latest.beginnings.clone();
                known.0.extend(from.0);
                rate_limit(max, &known, &latest.ends)
            }
        };
        Ok(LatestOffset { end: Some(offset(&end)), available })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let to = PartitionOffsets::from_json(&to.0)?;
        let ranges = self.source.ranges(&partition_offsets(from)?, &to).await?;
        let ranges = split(ranges, self.source.options());
        Ok(Arc::new(KafkaBatch { source: self.source.clone(), schema: self.schema.clone(), ranges }))
    }

    async fn commit(&mut self, end: &Offset) -> Result<(), SourceError> {
        self.group_offsets.commit(PartitionOffsets::from_json(&end.0)?).await;
        Ok(())
    }

    async fn close(&mut self) {
        self.group_offsets.close().await;
    }

    async fn wait_for_data(&mut self, from: Option<&Offset>, max_wait: Duration) -> Result<(), SourceError> {
        if self.is_held_back {
            tokio::time::sleep(max_wait).await;
            return Ok(());
        }
        Ok(self.source.wait_for_records(&partition_offsets(from)?, max_wait).await?)
    }

    fn metrics(&self, end: &Offset, latest: Option<&Offset>) -> BTreeMap<&'static str, String> {
        let end = PartitionOffsets::from_json(&end.0).unwrap_or_default();
        let latest = latest.and_then(|latest| PartitionOffsets::from_json(&latest.0).ok());
        offsets_behind_latest(&end, latest.as_ref())
    }
}

fn offset(offsets: &PartitionOffsets) -> Offset {
    Offset(offsets.to_json())
}

fn partition_offsets(offset: Option<&Offset>) -> Result<PartitionOffsets, SourceError> {
    Ok(offset.map_or(Ok(PartitionOffsets::default()), |offset| PartitionOffsets::from_json(&offset.0))?)
}

/// The ranges of one batch, a partition of the plan for each.
#[derive(Debug)]
pub(super) struct KafkaBatch {
    pub(super) source: KafkaSource,
    pub(super) schema: SchemaRef,
    pub(super) ranges: Vec<OffsetRange>,
}

#[async_trait]
impl BatchRead for KafkaBatch {
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: &[usize],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if self.ranges.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(self.schema.project(projection)?);
        let columns: Vec<_> =
            projection.iter().filter_map(|index| Column::ALL.get(*index).copied()).collect();
        let partition = |range: &OffsetRange| -> Arc<dyn PartitionStream> {
            Arc::new(PartitionRead {
                source: self.source.clone(),
                range: range.clone(),
                schema: schema.clone(),
                columns: columns.clone(),
            })
        };
        let partitions = self.ranges.iter().map(partition).collect();
        Ok(Some(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?)))
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
