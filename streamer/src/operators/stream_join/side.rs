//! One side of a join in one batch: its rows, by key.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch, not, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use futures::StreamExt;

use super::state_watermark::Eviction;
use crate::operators::context::BatchContext;
use crate::operators::event_time::{EventTimeKey, ends};
use crate::operators::late_rows::without_late_rows;
use crate::rows::in_order;
use crate::state::{EncodedRows, RowFormat};

/// What a side is in each batch.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
    /// A row that does not fulfil it has no partner at all.
    pub(super) condition: Option<Arc<dyn PhysicalExpr>>,
    pub(super) event_time: Option<EventTimeKey>,
    pub(super) eviction: Option<Eviction>,
    pub(super) schema: SchemaRef,
    /// Whether rows without a partner are given out.
    pub(super) outer: bool,
}

/// The rows that a batch brings.
pub(super) struct Arrived {
    pub(super) rows: RecordBatch,
    /// Rows that have no partner, whatever the other side has.
    pub(super) alone: RecordBatch,
    /// Late rows that were dropped.
    pub(super) late: u64,
}

impl Side {
    /// The key columns, named by their place; `types` are the left side's, which the right side's are cast to.
    pub(super) fn key_format(types: &[DataType]) -> Result<RowFormat> {
        let field = |(place, data_type): (usize, &DataType)| {
            (place, Arc::new(Field::new(format!("key {place}"), data_type.clone(), true)))
        };
        Ok(RowFormat::new(types.iter().enumerate().map(field).collect())?)
    }

    pub(super) fn row_format(&self) -> Result<RowFormat> {
        Ok(RowFormat::new(self.schema.fields().iter().cloned().enumerate().collect())?)
    }

    pub(super) fn key_types(&self) -> Result<Vec<DataType>> {
        self.keys.iter().map(|key| key.data_type(&self.schema)).collect()
    }

    /// Reads the batch's rows, in the order of the partitions.
    pub(super) async fn read(
        &self,
        input: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        late_ms: i64,
    ) -> Result<Arrived> {
        let batch_context = BatchContext::of(&context)?;
        let mut rows = in_order(input.schema(), execute_stream_partitioned(input, context)?);
        let (mut kept, mut alone, mut dropped) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = rows.next().await {
            let (batch, late) = without_late_rows(&batch_context, batch?, self.event_time, late_ms)?;
            dropped += late;
            let Some(condition) = &self.condition else {
                kept.push(batch);
                continue;
            };
            let fulfilled = holds(condition, &batch)?;
            if self.outer && fulfilled.true_count() < batch.num_rows() {
                alone.push(filter_record_batch(&batch, &not(&fulfilled)?)?);
            }
            kept.push(filter_record_batch(&batch, &fulfilled)?);
        }
        let rows = concat_batches(&self.schema, &kept)?;
        Ok(Arrived { rows, alone: concat_batches(&self.schema, &alone)?, late: dropped })
    }

    /// The rows by their keys. Without `nulls_equal`, a key with a null is none.
    pub(super) fn by_key(&self, rows: RecordBatch, types: &[DataType], nulls_equal: bool) -> Result<NewRows> {
        let keys = self.keys.iter().zip(types).map(|(key, data_type)| {
            let column = key.evaluate(&rows)?.into_array(rows.num_rows())?;
            Ok(if column.data_type() == data_type { column } else { cast(&column, data_type)? })
        });
        let keys: Vec<ArrayRef> = keys.collect::<Result<_>>()?;
        let ends = match &self.eviction {
            None => None,
            Some(Eviction::Key { place, kind }) => {
                let column = keys.get(*place).ok_or_else(no_key)?;
                Some(ends(EventTimeKey { column: *place, kind: *kind }, column)?)
            }
            Some(Eviction::Value { time, .. }) => Some(ends(*time, rows.column(time.column))?),
        };
        let nulls = keys.iter().filter(|_| !nulls_equal).map(Array::logical_nulls);
        let nulls = nulls.fold(None, |all, nulls| NullBuffer::union(all.as_ref(), nulls.as_ref()));
        let fields = types.iter().map(|data_type| Field::new("key", data_type.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let keys = Side::key_format(types)?.encode(&RecordBatch::try_new(schema, keys)?)?;
        NewRows::new(rows, keys, ends, nulls.as_ref())
    }
}

/// Where a condition holds; null is no.
pub(super) fn holds(condition: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let holds = condition.evaluate(rows)?.into_array(rows.num_rows())?;
    let holds = as_boolean_array(&holds)?;
    Ok(if holds.null_count() > 0 { prep_null_mask_filter(holds) } else { holds.clone() })
}

fn no_key() -> DataFusionError {
    DataFusionError::Internal("a join without its event time".to_owned())
}

/// Rows of one side with what is found out about them.
pub(super) struct Half {
    pub(super) rows: RecordBatch,
    /// The rows by key, and those of one key in the order in which they came.
    pub(super) order: Vec<u32>,
    /// Whether a partner was found.
    pub(super) matched: Vec<bool>,
}

/// Rows of one key.
pub(super) struct Group {
    /// Places in the order.
    pub(super) rows: Range<usize>,
    /// Whether the key can be equal to one of the other side.
    pub(super) can_match: bool,
}

/// The rows that a batch brings, by key.
pub(super) struct NewRows {
    pub(super) half: Half,
    pub(super) keys: EncodedRows,
    /// When the watermark is done with each row, in microseconds; `None` if it never is.
    pub(super) ends: Option<Int64Array>,
    /// The rows of one key each; sorted by key.
    pub(super) groups: Vec<Group>,
}

impl NewRows {
    fn new(
        rows: RecordBatch,
        keys: EncodedRows,
        ends: Option<Int64Array>,
        nulls: Option<&NullBuffer>,
    ) -> Result<NewRows> {
        let count = u32::try_from(rows.num_rows()).map_err(|_| too_many_rows())?;
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|row| keys.get(*row as usize));
        let mut groups = Vec::new();
        let mut start = 0;
        for group in order.chunk_by(|left, right| keys.get(*left as usize) == keys.get(*right as usize)) {
            let first = group.first().map_or(0, |row| *row as usize);
            let can_match = nulls.is_none_or(|nulls| nulls.is_valid(first));
            groups.push(Group { rows: start..start + group.len(), can_match });
            start += group.len();
        }
        let matched = vec![false; rows.num_rows()];
        Ok(NewRows { half: Half { rows, order, matched }, keys, ends, groups })
    }

    pub(super) fn key_of(&self, group: &Group) -> &[u8] {
        let first = self.half.order.get(group.rows.start).map_or(0, |row| *row as usize);
        self.keys.get(first)
    }

    /// The keys that can have partners, with their rows.
    pub(super) fn keyed_groups(&self) -> impl Iterator<Item = (&[u8], Range<usize>)> + Clone {
        let groups = self.groups.iter().filter(|group| group.can_match);
        groups.map(|group| (self.key_of(group), group.rows.clone()))
    }

    /// The ranges of [`NewRows::keyed_groups`].
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        self.keyed_groups().map(|(_, rows)| rows).collect()
    }

    /// When the watermark is done with a row.
    pub(super) fn end_us(&self, row: usize) -> Option<i64> {
        self.ends.as_ref().filter(|ends| ends.is_valid(row)).map(|ends| ends.value(row))
    }
}

fn too_many_rows() -> DataFusionError {
    DataFusionError::Execution(
        "a batch of a join has more than four billion rows; limit what a batch reads, for instance with \
         maxOffsetsPerTrigger"
            .to_owned(),
    )
}
