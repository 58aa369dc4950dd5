//! Pairs of rows whose keys are equal, some thousands at a time: the join's condition is asked of them, and those that
//! fulfil it are given out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute::{filter, take};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use tokio::sync::mpsc::Sender;

use super::side::{Half, holds};

/// Pairs that are looked at together.
const PAIRS: usize = 8_192;

/// What a pair must fulfil beside equal keys.
#[derive(Debug)]
pub(super) struct PairFilter {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns that the expression reads, of the left side and then of the right.
    left: Vec<usize>,
    right: Vec<usize>,
    schema: SchemaRef,
}

impl PairFilter {
    /// `expr` is over all columns of the left side, then all of the right.
    pub(super) fn new(expr: Arc<dyn PhysicalExpr>, left: &Schema, right: &Schema) -> Result<PairFilter> {
        let columns: BTreeSet<_> = collect_columns(&expr).into_iter().map(|column| column.index()).collect();
        let columns: Vec<_> = columns.into_iter().collect();
        let left_count = left.fields().len();
        let all: Vec<_> = left.fields().iter().chain(right.fields()).cloned().collect();
        let fields: Vec<_> = columns.iter().filter_map(|column| all.get(*column).cloned()).collect();
        let expr = expr.transform(|part| {
            let column: &dyn std::any::Any = part.as_ref();
            let Some(column) = column.downcast_ref::<Column>() else {
                return Ok(Transformed::no(part));
            };
            let place = columns.binary_search(&column.index()).map_err(|_| no_column())?;
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
        })?;
        let (of_left, of_right): (Vec<_>, Vec<_>) = columns.iter().partition(|column| **column < left_count);
        let of_right = of_right.into_iter().map(|column: usize| column - left_count).collect();
        Ok(PairFilter {
            expr: expr.data,
            left: of_left,
            right: of_right,
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

fn no_column() -> DataFusionError {
    DataFusionError::Internal("a join's condition reads a column that is not there".to_owned())
}

/// Gives out what a join finds.
pub(super) struct Matching<'a> {
    pub(super) join_type: JoinType,
    pub(super) filter: Option<&'a PairFilter>,
    /// Of the output.
    pub(super) schema: SchemaRef,
    pub(super) output: Sender<Result<RecordBatch>>,
}

impl Matching<'_> {
    /// Makes the pairs of groups of rows: ranges of the halves' orders.
    pub(super) async fn pairs(
        &self,
        left: &mut Half,
        right: &mut Half,
        groups: impl Iterator<Item = (Range<usize>, Range<usize>)>,
    ) -> Result<()> {
        let (mut left_rows, mut right_rows) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
        for (of_left, of_right) in groups {
            for left_place in of_left {
                for right_place in of_right.clone() {
                    let (Some(l), Some(r)) = (left.order.get(left_place), right.order.get(right_place))
                    else {
                        continue;
                    };
                    // One partner is enough for a semi join.
                    if self.join_type == JoinType::LeftSemi && left.matched.get(*l as usize) == Some(&true) {
                        break;
                    }
                    left_rows.push(*l);
                    right_rows.push(*r);
                    if left_rows.len() == PAIRS {
                        self.flush(left, right, &mut left_rows, &mut right_rows).await?;
                    }
                }
            }
        }
        self.flush(left, right, &mut left_rows, &mut right_rows).await
    }

    async fn flush(
        &self,
        left: &mut Half,
        right: &mut Half,
        left_rows: &mut Vec<u32>,
        right_rows: &mut Vec<u32>,
    ) -> Result<()> {
        if left_rows.is_empty() {
            return Ok(());
        }
        let mut of_left = UInt32Array::from(std::mem::take(left_rows));
        let mut of_right = UInt32Array::from(std::mem::take(right_rows));
        if let Some(condition) = self.filter {
            let columns = taken(&left.rows, condition.left.iter().copied(), &of_left)?;
            let columns = [columns, taken(&right.rows, condition.right.iter().copied(), &of_right)?].concat();
            let pairs = batch(condition.schema.clone(), columns, of_left.len())?;
            let holds = holds(&condition.expr, &pairs)?;
            of_left = filtered(&of_left, &holds)?;
            of_right = filtered(&of_right, &holds)?;
        }
        mark(&mut left.matched, &of_left);
        mark(&mut right.matched, &of_right);
        if self.join_type == JoinType::LeftSemi || of_left.is_empty() {
            return Ok(());
        }
        let left_columns = taken(&left.rows, 0..left.rows.num_columns(), &of_left)?;
        let right_columns = taken(&right.rows, 0..right.rows.num_columns(), &of_right)?;
        self.give([left_columns, right_columns].concat(), of_left.len()).await
    }

    /// Gives these rows of the left side alone.
    pub(super) async fn give_semi(&self, rows: &RecordBatch, matched: Vec<u32>) -> Result<()> {
        if matched.is_empty() {
            return Ok(());
        }
        let matched = UInt32Array::from(matched);
        self.give(taken(rows, 0..rows.num_columns(), &matched)?, matched.len()).await
    }

    /// Gives rows of the left side without a partner.
    pub(super) async fn give_left(&self, rows: &RecordBatch) -> Result<()> {
        let nulls = self.nulls(rows.num_columns()..self.schema.fields().len(), rows.num_rows());
        self.give([rows.columns().to_vec(), nulls].concat(), rows.num_rows()).await
    }

    /// Gives rows of the right side without a partner.
    pub(super) async fn give_right(&self, rows: &RecordBatch) -> Result<()> {
        let count = self.schema.fields().len().saturating_sub(rows.num_columns());
        let nulls = self.nulls(0..count, rows.num_rows());
        self.give([nulls, rows.columns().to_vec()].concat(), rows.num_rows()).await
    }

    fn nulls(&self, columns: Range<usize>, rows: usize) -> Vec<ArrayRef> {
        let fields = self.schema.fields().get(columns).unwrap_or_default();
        fields.iter().map(|field| new_null_array(field.data_type(), rows)).collect()
    }

    async fn give(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        if rows > 0 {
            // Who listens no more needs no rows; the state is still to be written.
            let _ = self.output.send(batch(self.schema.clone(), columns, rows)).await;
        }
        Ok(())
    }
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn taken(
    rows: &RecordBatch,
    columns: impl Iterator<Item = usize>,
    places: &UInt32Array,
) -> Result<Vec<ArrayRef>> {
    columns.map(|column| Ok(take(rows.column(column), places, None)?)).collect()
}

fn filtered(places: &UInt32Array, holds: &datafusion::arrow::array::BooleanArray) -> Result<UInt32Array> {
    use datafusion::arrow::array::AsArray;
    Ok(filter(places, holds)?.as_primitive().clone())
}

fn mark(matched: &mut [bool], rows: &UInt32Array) {
    for row in rows.values() {
        if let Some(matched) = matched.get_mut(*row as usize) {
            *matched = true;
        }
    }
}
