//! One batch of a join.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::JoinType;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::try_join;
use tokio::sync::mpsc::Sender;

use super::JoinSpec;
use super::matching::Matching;
use super::side::{NewRows, Side};
use super::store::{JoinSide, JoinStore, StoredRows};
use crate::operators::context::{BatchContext, StateMetrics, Watermarks, elapsed_ms};
use crate::state::{RowFormat, StateColumn, StateDescription};

pub(super) struct JoinRun {
    pub(super) spec: Arc<JoinSpec>,
    pub(super) left: Arc<dyn ExecutionPlan>,
    pub(super) right: Arc<dyn ExecutionPlan>,
    pub(super) schema: SchemaRef,
    pub(super) id: Option<usize>,
}

/// What a batch of a join works with.
struct Work<'a> {
    spec: &'a JoinSpec,
    matching: Matching<'a>,
    store: JoinStore,
    formats: (RowFormat, RowFormat),
    eviction_ms: i64,
    metrics: StateMetrics,
}

impl JoinRun {
    pub(super) async fn run(
        self,
        context: Arc<TaskContext>,
        output: Sender<Result<RecordBatch>>,
    ) -> Result<()> {
        let batch = BatchContext::of(&context)?;
        let Watermarks { late_ms, eviction_ms } = batch.operator(self.id)?.watermarks;
        let spec = self.spec.as_ref();
        let left = spec.left.read(self.left, context.clone(), late_ms);
        let (left, right) = try_join(left, spec.right.read(self.right, context.clone(), late_ms)).await?;

        let started = Instant::now();
        let metrics = StateMetrics { rows_dropped: left.late + right.late, ..StateMetrics::default() };
        let types = spec.left.key_types()?;
        let store = JoinStore::new(batch.open(self.id, &spec.description(&types)?)?)?;
        let formats = (spec.left.row_format()?, spec.right.row_format()?);
        let filter = spec.filter.as_ref();
        let matching = Matching { join_type: spec.join_type, filter, schema: self.schema, output };
        let mut work = Work { spec, matching, store, formats, eviction_ms, metrics };

        work.matching.give_left(&left.alone).await?;
        work.matching.give_right(&right.alone).await?;
        let mut left = spec.left.by_key(left.rows, &types, spec.nulls_equal)?;
        let mut right = spec.right.by_key(right.rows, &types, spec.nulls_equal)?;
        let matched_by_stored = work.match_all(&mut left, &mut right).await?;
        work.keep(JoinSide::Left, &left, &matched_by_stored).await?;
        work.keep(JoinSide::Right, &right, &[]).await?;
        work.metrics.updates_ms = elapsed_ms(started);

        let started = Instant::now();
        work.evict(JoinSide::Left).await?;
        work.evict(JoinSide::Right).await?;
        work.metrics.removals_ms = elapsed_ms(started);
        let Work { store, mut metrics, .. } = work;
        metrics.rows_total = store.rows();
        batch.commit(self.id, store.finish()?, metrics)
    }
}

impl JoinSpec {
    /// Keys, then the columns of both sides; the kind of join stands among them, as its state is no other's.
    fn description(&self, types: &[DataType]) -> Result<StateDescription> {
        let columns = |side: &Side, name: &str| -> Result<Vec<StateColumn>> {
            let mut columns = side.row_format()?.describe();
            columns.iter_mut().for_each(|column| column.name = format!("{name}.{}", column.name));
            Ok(columns)
        };
        let kind = StateColumn { name: "join".to_owned(), data_type: self.join_type.to_string() };
        let values = [columns(&self.left, "left")?, columns(&self.right, "right")?, vec![kind]].concat();
        Ok(StateDescription { keys: Side::key_format(types)?.describe(), values })
    }
}

impl Work<'_> {
    /// Makes all pairs. Returns which of the new left rows have a partner among the stored ones.
    async fn match_all(&mut self, left: &mut NewRows, right: &mut NewRows) -> Result<Vec<bool>> {
        let mut stored = self.stored(JoinSide::Right, left)?;
        let groups = left.ranges().into_iter().zip(stored.groups.clone());
        self.matching.pairs(&mut left.half, &mut stored.half, groups).await?;
        if self.spec.right.outer {
            self.store.mark(&stored)?;
        }
        let matched_by_stored = left.half.matched.clone();

        let mut stored = self.stored(JoinSide::Left, right)?;
        let groups = stored.groups.clone().into_iter().zip(right.ranges());
        self.matching.pairs(&mut stored.half, &mut right.half, groups).await?;
        let groups = common_groups(left, right);
        self.matching.pairs(&mut left.half, &mut right.half, groups.into_iter()).await?;
        if self.spec.join_type == JoinType::LeftSemi {
            self.give_semi(left, &stored).await?;
        }
        if self.spec.left.outer || self.spec.join_type == JoinType::LeftSemi {
            self.store.mark(&stored)?;
        }
        Ok(matched_by_stored)
    }

    /// The stored rows of one side that have keys of the other side's new ones.
    fn stored(&self, side: JoinSide, new: &NewRows) -> Result<StoredRows> {
        let keys = new.keyed_groups().map(|(key, _)| key);
        let (spec, format) = self.side(side);
        self.store.stored(side, keys, format, &spec.schema)
    }

    fn side(&self, side: JoinSide) -> (&Side, &RowFormat) {
        match side {
            JoinSide::Left => (&self.spec.left, &self.formats.0),
            JoinSide::Right => (&self.spec.right, &self.formats.1),
        }
    }

    async fn give_semi(&self, new: &NewRows, stored: &StoredRows) -> Result<()> {
        let matched = (0..).zip(&new.half.matched).filter_map(|(row, matched)| matched.then_some(row));
        self.matching.give_semi(&new.half.rows, matched.collect()).await?;
        self.matching.give_semi(&stored.half.rows, stored.newly_matched_rows()).await
    }

    /// Puts the new rows of one side into the state, or gives out at once what would leave it again in this batch.
    async fn keep(&mut self, side: JoinSide, new: &NewRows, matched_by_stored: &[bool]) -> Result<()> {
        let (spec, format) = self.side(side);
        let outer = spec.outer;
        let until_us = spec.eviction.as_ref().map(|eviction| until_us(eviction.until_ms(self.eviction_ms)));
        let rows = format.encode(&new.half.rows)?;
        let flag = |flags: &[bool], row: usize| flags.get(row).copied().unwrap_or_default();
        let is_semi = self.spec.join_type == JoinType::LeftSemi;
        let groups = || new.groups.iter().filter(|group| outer || group.can_match);
        let numbers = self.store.numbers(side, groups().map(|group| new.key_of(group)))?;
        let mut alone: Vec<u32> = Vec::new();
        for (group, mut numbers) in groups().zip(numbers) {
            let (key, before) = (new.key_of(group), numbers);
            for number in new.half.order.get(group.rows.clone()).unwrap_or_default() {
                let row = *number as usize;
                let matched = flag(&new.half.matched, row);
                if is_semi && flag(matched_by_stored, row) {
                    continue;
                }
                let end_us = new.end_us(row);
                if end_us.zip(until_us).is_none_or(|(end_us, until_us)| end_us > until_us) {
                    self.store.put(side, key, &mut numbers, rows.get(row), (end_us, matched))?;
                    self.metrics.rows_updated += 1;
                    continue;
                }
                // Spark counts such a row as kept and removed on the left, and on the right only where it is given out.
                let is_alone = outer && !matched;
                self.metrics.rows_updated += u64::from(side == JoinSide::Left || is_alone);
                self.metrics.rows_removed += u64::from(side == JoinSide::Left && !outer);
                if is_alone {
                    alone.push(*number);
                }
            }
            if numbers != before {
                self.store.put_numbers(side, key, numbers)?;
            }
        }
        if alone.is_empty() {
            return Ok(());
        }
        let alone = take_record_batch(&new.half.rows, &UInt32Array::from(alone))?;
        self.give_alone(side, &alone).await
    }

    async fn give_alone(&self, side: JoinSide, rows: &RecordBatch) -> Result<()> {
        match side {
            JoinSide::Left => self.matching.give_left(rows).await,
            JoinSide::Right => self.matching.give_right(rows).await,
        }
    }

    /// Forgets the rows of one side that the watermark is done with. Spark does not count those that an outer join looks
    /// at for their partner.
    async fn evict(&mut self, side: JoinSide) -> Result<()> {
        let spec = match side {
            JoinSide::Left => &self.spec.left,
            JoinSide::Right => &self.spec.right,
        };
        let Some(eviction) = &spec.eviction else {
            return Ok(());
        };
        let until_us = until_us(eviction.until_ms(self.eviction_ms));
        loop {
            let format = if side == JoinSide::Left { &self.formats.0 } else { &self.formats.1 };
            let unmatched = spec.outer.then_some((format, &spec.schema));
            let Some((count, unmatched)) = self.store.take_passed(side, until_us, unmatched)? else {
                return Ok(());
            };
            match unmatched {
                Some(rows) => self.give_alone(side, &rows).await?,
                None => self.metrics.rows_removed += count,
            }
        }
    }
}

fn until_us(until_ms: i64) -> i64 {
    until_ms.saturating_mul(1_000)
}

/// The groups of both sides that have the same key.
fn common_groups(left: &NewRows, right: &NewRows) -> Vec<(Range<usize>, Range<usize>)> {
    let (mut of_left, mut of_right) = (left.keyed_groups().peekable(), right.keyed_groups().peekable());
    let mut common = Vec::new();
    while let (Some((left_key, left_rows)), Some((right_key, right_rows))) = (of_left.peek(), of_right.peek())
    {
        let order = left_key.cmp(right_key);
        if order == Ordering::Equal {
            common.push((left_rows.clone(), right_rows.clone()));
        }
        if order != Ordering::Greater {
            of_left.next();
        }
        if order != Ordering::Less {
            of_right.next();
        }
    }
    common
}
