//! What a query would do: its streams, its operators and its plans, without a broker.

use std::fmt;

use datafusion::error::DataFusionError;
use datafusion::physical_plan::displayable;
use serde::Serialize;

use crate::operators::context::Watermarks;
use crate::operators::incremental::IncrementalPlan;
use crate::session::StreamingPlan;

/// Plans are in DataFusion's words, under Spark's headings.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub output_mode: String,
    pub columns: Vec<String>,
    /// What is read, in the order of the sources in the checkpoint.
    pub streams: Vec<String>,
    /// The delay of each watermark, in milliseconds.
    pub watermark_delays_ms: Vec<i64>,
    /// By number, as in the checkpoint's `state/`.
    pub stateful_operators: Vec<String>,
    pub analyzed_logical_plan: String,
    pub optimized_logical_plan: String,
    pub physical_plan: String,
}

impl Explanation {
    /// No broker is asked: the plan is that of a batch without rows.
    pub async fn of(query: &StreamingPlan) -> Result<Explanation, DataFusionError> {
        let state = query.context.state();
        let optimized = state.optimize(&query.plan)?;
        let physical = state.create_physical_plan(&query.plan).await?;
        let watermarks = Watermarks { late_ms: 0, eviction_ms: 0 };
        let planned = IncrementalPlan::new(physical, query.output_mode, watermarks, false)?;
        Ok(Explanation {
            output_mode: query.output_mode.to_string(),
            columns: query.names.clone(),
            streams: query.streams.iter().map(|stream| stream.definition.description()).collect(),
            watermark_delays_ms: planned.delays_ms.clone(),
            stateful_operators: planned.operators.iter().map(|operator| operator.name.to_owned()).collect(),
            analyzed_logical_plan: query.plan.display_indent().to_string(),
            optimized_logical_plan: optimized.display_indent().to_string(),
            physical_plan: displayable(planned.physical.as_ref()).indent(false).to_string(),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Output mode: {}", self.output_mode)?;
        writeln!(f, "Columns: {}", self.columns.join(", "))?;
        for (number, stream) in self.streams.iter().enumerate() {
            writeln!(f, "Stream {number}: {stream}")?;
        }
        for delay in &self.watermark_delays_ms {
            writeln!(f, "Watermark: {delay} ms behind")?;
        }
        for (number, operator) in self.stateful_operators.iter().enumerate() {
            writeln!(f, "Stateful operator {number}: {operator}")?;
        }
        for (heading, plan) in [
            ("Analyzed Logical Plan", &self.analyzed_logical_plan),
            ("Optimized Logical Plan", &self.optimized_logical_plan),
            ("Physical Plan", &self.physical_plan),
        ] {
            writeln!(f, "\n== {heading} ==\n{}", plan.trim_end())?;
        }
        Ok(())
    }
}
