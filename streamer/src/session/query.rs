//! From a query's text to its plan.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, SchemaError, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser;
use futures::FutureExt;

use super::literals::with_spark_literals;
use super::{Frame, QueryError, Session, Stream, StreamingPlan};
use crate::catalog::{Catalog, Entry};
use crate::kafka::schema::written_name;
use crate::malformed_records::MalformedRecords;
use crate::operators::time_window::plan_windows;
use crate::options::Options;
use crate::output_mode::{self, OutputMode};
use crate::source::StreamTable;
use crate::sql::relation::OperatorPlanner;
use crate::sql::select_list;
use crate::sql::{Names, Position, QueryText, Relation, SqlError, StreamingSelect, View};

impl Session {
    pub(crate) fn plan_query(
        &self,
        query: &QueryText,
        options: &Options,
        output_mode: OutputMode,
    ) -> Result<StreamingPlan, QueryError> {
        self.query_frame(query, options)?.query(output_mode)
    }

    /// The rows of a query; undeclared streams are topics, read with `options`.
    pub(crate) fn query_frame(&self, query: &QueryText, options: &Options) -> Result<Frame, QueryError> {
        let context = self.context()?;
        let mut select = query.resolve(&QueryNames { state: &context.state(), catalog: &self.catalog })?;
        let streams = self.register_streams(&context, &mut select, options)?;
        self.register_tables(&context, &mut select, options)?;
        let (plan, names) = plan_select(context.state(), &mut select)?;
        let malformed = vec![MalformedRecords::of(&context)];
        let reads = self.streaming_tables(select.streams.iter().chain(&select.tables));
        Ok(Frame {
            context,
            conf: self.conf.clone(),
            zone: self.zone,
            plan,
            streams,
            reads,
            malformed,
            names,
        })
    }

    /// Those that queries of the job write, in lower case.
    fn streaming_tables<'a>(&self, relations: impl Iterator<Item = &'a Relation>) -> Vec<String> {
        let is_one =
            |relation: &&Relation| matches!(self.catalog.get(&relation.name), Some(Entry::StreamingTable(_)));
        relations.filter(is_one).map(|relation| relation.name.to_lowercase()).collect()
    }

    fn register_streams(
        &self,
        context: &SessionContext,
        select: &mut StreamingSelect,
        defaults: &Options,
    ) -> Result<Vec<Stream>, QueryError> {
        let mut streams = Vec::new();
        for relation in select.streams.clone() {
            let definition = self.define_stream(&relation, defaults)?;
            let table = Arc::new(StreamTable::new(definition.schema()));
            let provider = lowered(table.clone(), &relation.table, select)?;
            context.register_table(TableReference::bare(relation.table.as_str()), provider)?;
            streams.push(Stream { definition, table });
        }
        Ok(streams)
    }

    fn register_tables(
        &self,
        context: &SessionContext,
        select: &mut StreamingSelect,
        defaults: &Options,
    ) -> Result<(), QueryError> {
        for relation in select.tables.clone() {
            let provider = self.define_table(&relation, defaults)?;
            let provider = lowered(provider, &relation.table, select)?;
            context.register_table(TableReference::bare(relation.table.as_str()), provider)?;
        }
        Ok(())
    }
}

/// The plan of a SELECT whose tables `state` knows, and the names of its columns.
pub(super) fn plan_select(
    mut state: SessionState,
    select: &mut StreamingSelect,
) -> Result<(LogicalPlan, Vec<String>), QueryError> {
    let operators = std::mem::take(&mut select.operators);
    state.register_relation_planner(Arc::new(OperatorPlanner { operators }))?;
    let plan_query = |query| plan_statement(&state, sqlparser::ast::Statement::Query(Box::new(query)));
    select_list::write_out(select, &plan_query).map_err(|error| analysis_error(&error, select))?;
    let planned = plan_statement(&state, select.statement.clone());
    let plan = planned.and_then(with_spark_literals).map_err(|error| analysis_error(&error, select))?;
    // For the errors, which know their places here.
    let windows = plan_windows(plan.clone()).map_err(|error| analysis_error(&error, select))?;
    output_mode::refuse_window_functions(&windows)?;
    state.optimize(&windows).map_err(|error| analysis_error(&error, select))?;
    let planned: Vec<_> =
        plan.schema().fields().iter().map(|field| written_name(field.name()).to_owned()).collect();
    Ok((plan, select.column_names(&planned)))
}

fn plan_statement(
    state: &SessionState,
    statement: sqlparser::ast::Statement,
) -> Result<LogicalPlan, DataFusionError> {
    // Tables in memory are there at once.
    state.statement_to_plan(Statement::Statement(Box::new(statement))).now_or_never().unwrap_or_else(|| {
        Err(DataFusionError::Internal("a table of the session has to be waited for".to_owned()))
    })
}

pub(super) fn is_function(state: &SessionState, name: &str) -> bool {
    state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
        || state.higher_order_functions().contains_key(name)
}

/// The table with its columns' names in lower case, as all names are in plans; `select` learns how they are written.
fn lowered(
    table: Arc<dyn TableProvider>,
    name: &str,
    select: &mut StreamingSelect,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    let schema = table.schema();
    if schema.fields().iter().all(|field| field.name().to_lowercase() == *field.name()) {
        return Ok(table);
    }
    let columns = schema.fields().iter().map(|field| {
        select.spell(field.name());
        Expr::Column(Column::new_unqualified(field.name())).alias(field.name().to_lowercase())
    });
    let columns: Vec<_> = columns.collect();
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Without what is for those who work on DataFusion: further lines, and pieces of syntax as Rust shows them.
fn in_short(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.split_once("Unsupported ast node ") {
        Some((_, node)) => node
            .trim_start_matches("in sqltorel: ")
            .split([' ', '{', '('])
            .find(|word| !word.is_empty())
            .unwrap_or(line)
            .to_uppercase(),
        None => line.to_owned(),
    }
}

struct QueryNames<'a> {
    state: &'a SessionState,
    catalog: &'a Catalog,
}

impl Names for QueryNames<'_> {
    fn is_function(&self, name: &str) -> bool {
        is_function(self.state, name)
    }

    fn is_table(&self, name: &str) -> bool {
        matches!(self.catalog.get(name), Some(Entry::Table(_) | Entry::StreamingTable(_)))
    }

    fn view(&self, name: &str) -> Option<Arc<View>> {
        match self.catalog.get(name) {
            Some(Entry::View(view)) => Some(view.clone()),
            _ => None,
        }
    }
}

/// DataFusion's complaint, in Spark's words where it has a kind of its own.
fn analysis_error(error: &DataFusionError, select: &StreamingSelect) -> QueryError {
    let root = error.find_root();
    if let DataFusionError::SchemaError(schema_error, _) = root
        && let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref()
    {
        let candidates = valid_fields.iter().map(|field| written_name(&field.name).to_owned());
        let unresolved = SqlError::UnresolvedColumn {
            name: field.name.clone(),
            candidates: candidates.collect(),
            position: select.position_of(&field.name),
        };
        return unresolved.into();
    }
    let message = match root {
        DataFusionError::NotImplemented(message) => {
            format!("Ottla does not serve this yet: {}", in_short(message))
        }
        DataFusionError::Plan(message) => in_short(message),
        other => in_short(&other.strip_backtrace()),
    };
    let error = match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => SqlError::Analysis {
            message,
            position: Position { line: span.start.line, column: span.start.column.saturating_sub(1) },
        },
        None => SqlError::Unpositioned(message),
    };
    error.into()
}
