//! `dropDuplicates` and `dropDuplicatesWithinWatermark`: the first row of each key is given out, later ones are dropped.
//! Spark's `StreamingDeduplicateExec` and `StreamingDeduplicateWithinWatermarkExec`.
//!
//! A key is kept for ever, or until the watermark has passed the event time that is among its columns; within the
//! watermark, until it has passed the first row's event time by the watermark's delay.

mod exec;
mod seen;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Column, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;

use super::event_time::{EventTimeKey, delay_ms};
use crate::source::is_streaming;
pub(crate) use exec::DedupExec;
use exec::DedupSpec;

/// How long a key is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remember {
    /// Until the watermark has passed the event time among the columns, if there is one.
    Always,
    /// For as long as the watermark's delay.
    WithinWatermark,
}

/// The first row of each key, which is `columns`. Static data are deduplicated as a whole.
pub fn plan(input: LogicalPlan, columns: &[Column], remember: Remember) -> Result<LogicalPlan> {
    let places = columns.iter().map(|column| place(&input, column)).collect::<Result<Vec<_>>>()?;
    if !is_streaming(&input) {
        let keys = columns.iter().cloned().map(Expr::Column).collect();
        let all = input.schema().iter().map(Expr::from).collect();
        return LogicalPlanBuilder::from(input).distinct_on(keys, all, None)?.build();
    }
    if remember == Remember::WithinWatermark && event_time(input.schema()).is_none() {
        return Err(DataFusionError::Plan(
            "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark"
                .to_owned(),
        ));
    }
    let columns =
        places.into_iter().map(|place| Column::from(input.schema().qualified_field(place))).collect();
    let node = Deduplicate { input, columns, remember };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn place(input: &LogicalPlan, column: &Column) -> Result<usize> {
    input.schema().maybe_index_of_column(column).ok_or_else(|| {
        let names: Vec<_> = input.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("Cannot resolve column name \"{}\" among ({}).", column.name, names.join(", "));
        DataFusionError::Plan(message)
    })
}

fn event_time(schema: &DFSchemaRef) -> Option<EventTimeKey> {
    EventTimeKey::find(schema.fields().iter().map(AsRef::as_ref))
}

/// The logical node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Deduplicate {
    input: LogicalPlan,
    columns: Vec<Column>,
    remember: Remember,
}

impl Deduplicate {
    /// Whether Spark counts it as an operator that late rows of another one can reach.
    pub(crate) fn is_bounded(&self) -> bool {
        let schema = self.input.schema();
        let is_event_time = |column: &Column| {
            let field = schema.qualified_field_from_column(column);
            field.is_ok_and(|(_, field)| delay_ms(field.metadata()).is_some())
        };
        self.remember == Remember::WithinWatermark || self.columns.iter().any(is_event_time)
    }

    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<DedupExec> {
        let schema = self.input.schema();
        let keys =
            self.columns.iter().map(|column| schema.index_of_column(column)).collect::<Result<Vec<_>>>()?;
        let event_time = event_time(schema);
        let delay_ms = event_time
            .and_then(|time| schema.fields().get(time.column))
            .and_then(|field| delay_ms(field.metadata()));
        let spec = DedupSpec { keys, remember: self.remember, event_time, delay_ms: delay_ms.unwrap_or(0) };
        Ok(DedupExec::new(input, Arc::new(spec), None))
    }
}

impl PartialOrd for Deduplicate {
    fn partial_cmp(&self, other: &Deduplicate) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Deduplicate {
    fn name(&self) -> &'static str {
        match self.remember {
            Remember::Always => "Deduplicate",
            Remember::WithinWatermark => "DeduplicateWithinWatermark",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.columns.iter().cloned().map(Expr::Column).collect()
    }

    /// A filter below would let through a later row in place of the first one.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.input.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}", UserDefinedLogicalNodeCore::name(self), columns.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Deduplicate> {
        let columns = exprs.into_iter().map(|expr| match expr {
            Expr::Column(column) => Ok(column),
            other => {
                Err(DataFusionError::Internal(format!("duplicates are told by columns, not by {other}")))
            }
        });
        let columns = columns.collect::<Result<_>>()?;
        let input = inputs.into_iter().next().unwrap_or_else(|| self.input.clone());
        Ok(Deduplicate { input, columns, remember: self.remember })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let mut columns = output_columns.to_vec();
        for column in &self.columns {
            columns.push(schema.index_of_column(column).ok()?);
        }
        if self.remember == Remember::WithinWatermark {
            columns.extend(event_time(schema).map(|time| time.column));
        }
        columns.sort_unstable();
        columns.dedup();
        Some(vec![columns])
    }
}
