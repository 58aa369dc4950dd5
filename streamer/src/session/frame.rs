//! Rows to be: a plan over streams and tables that is not a query yet, for it has no output mode.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;

use super::query::plan_select;
use super::{QueryError, Stream, StreamingPlan};
use crate::conf::Conf;
use crate::kafka::schema::written_name;
use crate::malformed_records::MalformedRecords;
use crate::operators::joins::check_joins;
use crate::operators::limit::plan_limits;
use crate::operators::time_window::plan_windows;
use crate::output_mode::{self, OutputMode};
use crate::sql::{self, Names, SqlError, View};

#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) context: SessionContext,
    pub(crate) conf: Conf,
    pub(crate) zone: Tz,
    pub(crate) plan: LogicalPlan,
    pub(crate) streams: Vec<Stream>,
    /// The streaming tables of the job that it reads, in lower case.
    pub(crate) reads: Vec<String>,
    /// Of each session that it was made in.
    pub(crate) malformed: Vec<Arc<MalformedRecords>>,
    /// Its columns, as the user named them.
    pub(crate) names: Vec<String>,
}

impl Frame {
    /// A query, if Spark would run it in this mode.
    pub(crate) fn query(self, output_mode: OutputMode) -> Result<StreamingPlan, QueryError> {
        if self.streams.is_empty() {
            return Err(SqlError::NoStream.into());
        }
        let plan = plan_windows(self.plan)?;
        output_mode::check(&plan, output_mode)?;
        let state = self.context.state();
        // Spark's functions and casts have their types only then.
        let plan = state.analyzer().execute_and_check(
            plan_limits(plan, output_mode)?,
            state.config_options(),
            |_, _| {},
        )?;
        // Each batch is optimized for itself, with its own time; here it is for the errors.
        let optimized = state.optimize(&plan)?;
        check_joins(&optimized)?;
        let Frame { context, conf, zone: time_zone, streams, reads, malformed, names, .. } = self;
        Ok(StreamingPlan { context, conf, plan, streams, reads, malformed, names, output_mode, time_zone })
    }

    /// What a query over frames gives: `text` reads each under its name, in lower case.
    pub(crate) fn select(text: &str, frames: &[(&str, &Frame)]) -> Result<Frame, QueryError> {
        let Some((_, first)) = frames.first() else {
            return Err(SqlError::NoStream.into());
        };
        let state = first.context.state();
        let mut select = sql::parse_query(text)?.resolve(&FrameNames { state: &state, frames })?;
        let mut streams: Vec<Stream> = Vec::new();
        let mut malformed: Vec<Arc<MalformedRecords>> = Vec::new();
        for (_, frame) in frames {
            frame.names.iter().for_each(|name| select.spell(name));
            for records in &frame.malformed {
                if !malformed.iter().any(|known| Arc::ptr_eq(known, records)) {
                    malformed.push(records.clone());
                }
            }
            for stream in &frame.streams {
                // A frame that is joined with itself reads its stream once.
                if !streams.iter().any(|known| Arc::ptr_eq(&known.table, &stream.table)) {
                    streams.push(stream.clone());
                }
            }
        }
        let (plan, names) = plan_select(state, &mut select)?;
        Ok(Frame { plan, names, streams, malformed, ..(*first).clone() })
    }

    /// Another plan with the same columns or more, whose names are those in it.
    pub(crate) fn with_plan(
        self,
        plan: impl FnOnce(LogicalPlan) -> Result<LogicalPlan, DataFusionError>,
    ) -> Result<Frame, QueryError> {
        let plan = plan(self.plan)?;
        let names = plan.schema().fields().iter().map(|field| {
            let spelled = self.names.iter().find(|name| name.to_lowercase() == *field.name());
            spelled.cloned().unwrap_or_else(|| written_name(field.name()).to_owned())
        });
        let names = names.collect();
        Ok(Frame { plan, names, ..self })
    }
}

struct FrameNames<'a> {
    state: &'a datafusion::execution::session_state::SessionState,
    frames: &'a [(&'a str, &'a Frame)],
}

impl Names for FrameNames<'_> {
    fn is_function(&self, name: &str) -> bool {
        super::query::is_function(self.state, name)
    }

    fn is_table(&self, _: &str) -> bool {
        false
    }

    fn view(&self, _: &str) -> Option<Arc<View>> {
        None
    }

    fn plan(&self, name: &str) -> Option<LogicalPlan> {
        self.frames.iter().find(|(known, _)| *known == name).map(|(_, frame)| frame.plan.clone())
    }
}
