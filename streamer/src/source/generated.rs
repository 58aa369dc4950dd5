//! Rows that a source makes itself: a count, each number with a time. What `rate` and `rate-micro-batch` share.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream;

use super::formats::Declared;
use super::{BatchRead, SourceError};

const ROWS_PER_BATCH: i64 = 8_192;

/// The columns `timestamp` and `value`.
pub(super) fn schema(time_zone: &str) -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into()));
    Arc::new(Schema::new(vec![
        Field::new("timestamp", timestamp, true),
        Field::new("value", DataType::Int64, true),
    ]))
}

/// The values from `first` up to, without, `end`: value v stands in partition (v - first) modulo their number.
#[derive(Clone, Debug)]
pub(super) struct GeneratedRows {
    pub(super) schema: SchemaRef,
    pub(super) first: i64,
    pub(super) end: i64,
    pub(super) partitions: i64,
    /// The first value's time, in milliseconds since 1970.
    pub(super) first_ms: i64,
    /// How much later each value is than the one before.
    pub(super) ms_per_value: f64,
}

#[async_trait]
impl BatchRead for GeneratedRows {
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: &[usize],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if self.first >= self.end {
            return Ok(None);
        }
        let schema = Arc::new(self.schema.project(projection)?);
        let partition = |offset: i64| -> Arc<dyn PartitionStream> {
            let (rows, schema, projection) = (self.clone(), schema.clone(), projection.to_vec());
            Arc::new(Partition { rows, offset, schema, projection })
        };
        let partitions = (0..self.partitions.min(self.end - self.first)).map(partition).collect();
        Ok(Some(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?)))
    }
}

#[derive(Debug)]
struct Partition {
    rows: GeneratedRows,
    offset: i64,
    schema: SchemaRef,
    projection: Vec<usize>,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Partition { rows, schema, projection, .. } = self;
        let (rows, projection, projected) = (rows.clone(), projection.clone(), schema.clone());
        let begin = rows.first.saturating_add(self.offset);
        let batches = stream::iter(rows.chunks(begin).map(move |values| {
            rows.batch(&values, &projection, &projected)
                .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
        }));
        Box::pin(RecordBatchStreamAdapter::new(schema.clone(), batches))
    }
}

impl GeneratedRows {
    /// The values of a partition that begins here, in handy pieces.
    fn chunks(&self, begin: i64) -> impl Iterator<Item = Vec<i64>> + Send + 'static {
        let (step, end) = (self.partitions, self.end);
        let mut next = begin;
        std::iter::from_fn(move || {
            let mut values = Vec::new();
            while next < end && (values.len() as i64) < ROWS_PER_BATCH {
                values.push(next);
                next = next.saturating_add(step);
            }
            Some(values).filter(|values| !values.is_empty())
        })
    }

    fn batch(
        &self,
        values: &[i64],
        projection: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let columns = projection.iter().zip(schema.fields()).map(|(column, field)| -> ArrayRef {
            match column {
                0 => {
                    let times = values.iter().map(|value| self.time_us(*value));
                    let times = TimestampMicrosecondArray::from_iter_values(times);
                    Arc::new(times.with_data_type(field.data_type().clone()))
                }
                _ => Arc::new(Int64Array::from(values.to_vec())),
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
        RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)
    }

    fn time_us(&self, value: i64) -> i64 {
        // Java's Math.round.
        let later_ms = ((value - self.first) as f64 * self.ms_per_value + 0.5).floor() as i64;
        self.first_ms.saturating_add(later_ms).saturating_mul(1_000)
    }
}

/// An option that is a whole number; Spark's message for another.
pub(super) fn whole_number(
    declared: &Declared<'_>,
    key: &'static str,
    default: i64,
    (min, rule): (i64, &'static str),
) -> Result<i64, SourceError> {
    let text = declared.options.get(key);
    match text.map_or(Ok(default), |text| text.trim().parse()) {
        Ok(number) if number >= min => Ok(number),
        _ => {
            let value = text.map_or_else(|| default.to_string(), str::to_owned);
            Err(SourceError::OptionValue { key, value, rule })
        }
    }
}

pub(super) const POSITIVE: (i64, &str) = (1, "be positive");
pub(super) const NON_NEGATIVE: (i64, &str) = (0, "be non-negative");

/// `numPartitions`; by default one for each core, as in Spark.
pub(super) fn partitions(declared: &Declared<'_>) -> Result<i64, SourceError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    whole_number(declared, "numPartitions", i64::try_from(cores).unwrap_or(1), POSITIVE)
}
