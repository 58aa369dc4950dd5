//! From a job's text to a query that can run: DataFusion under Spark's rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, SchemaError, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion_spark::SessionStateBuilderSpark;
use thiserror::Error;

use crate::catalog::{Catalog, Entry};
use crate::conf::{Conf, ConfError};
use crate::functions;
use crate::job::JobDefaults;
use crate::kafka::options::{KafkaOptions, OptionError};
use crate::kafka::schema::written_name;
use crate::kafka::stream::KafkaDefinition;
use crate::operators::joins::check_joins;
use crate::operators::planner::StreamingQueryPlanner;
use crate::operators::time_window::plan_windows;
use crate::options::Options;
use crate::output_mode::{self, OutputMode, UnsupportedQuery};
use crate::source::{SourceDefinition, StreamTable};
use crate::sql::relation::OperatorPlanner;
use crate::sql::types::SparkTypePlanner;
use crate::sql::{Names, Position, QueryText, Relation, SqlError, StreamingSelect, View};
use crate::static_table::{self, StaticTableError};

/// Settings, tables and views; makes queries.
pub struct Session {
    conf: Conf,
    zone: Tz,
    pub(crate) catalog: Catalog,
}

/// A query over streams that Spark would run in this output mode.
pub struct StreamingPlan {
    pub(crate) context: SessionContext,
    pub(crate) conf: Conf,
    pub(crate) plan: LogicalPlan,
    pub(crate) streams: Vec<Stream>,
    /// The columns of the result, as the user named them.
    pub(crate) names: Vec<String>,
    pub(crate) output_mode: OutputMode,
    pub(crate) time_zone: Tz,
}

impl StreamingPlan {
    /// What a sink of this query gets.
    pub fn schema(&self) -> SchemaRef {
        self.named(self.plan.schema().as_arrow())
    }

    pub fn output_mode(&self) -> OutputMode {
        self.output_mode
    }

    /// The session's, when the query was planned.
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// The result's columns under the user's names.
    pub(crate) fn named(&self, schema: &Schema) -> SchemaRef {
        let fields = schema.fields().iter().zip(&self.names);
        let fields =
            fields.map(|(field, name)| Field::clone(field).with_name(name).with_metadata(HashMap::new()));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// One `FROM STREAM`.
pub(crate) struct Stream {
    pub(crate) definition: Arc<dyn SourceDefinition>,
    pub(crate) table: Arc<StreamTable>,
}

#[derive(Debug, Error)]
pub enum QueryError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error(transparent)]
    Unsupported(#[from] UnsupportedQuery),
    #[error(transparent)]
    Conf(#[from] ConfError),
    #[error(transparent)]
    StaticTable(#[from] StaticTableError),
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("{0}")]
    Engine(#[from] DataFusionError),
}

impl Session {
    pub fn new(conf: Conf) -> Result<Session, QueryError> {
        let zone = conf.session_time_zone().parse().map_err(DataFusionError::from)?;
        Ok(Session { conf, zone, catalog: Catalog::default() })
    }

    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    /// Of the queries that are planned from here on.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), QueryError> {
        self.conf.set(key, value)?;
        self.zone = self.conf.session_time_zone().parse().map_err(DataFusionError::from)?;
        Ok(())
    }

    pub fn time_zone(&self) -> Tz {
        self.zone
    }

    /// Reads and checks a job of one query, whose undeclared streams are topics, each read with `options`. No broker
    /// is asked.
    pub async fn plan(
        mut self,
        text: &str,
        options: &BTreeMap<String, String>,
        output_mode: OutputMode,
    ) -> Result<StreamingPlan, QueryError> {
        let defaults = JobDefaults { source_options: Options::from_iter(options), output_mode };
        let mut queries = self.plan_job(text, &defaults).await?;
        match (queries.pop(), queries.len()) {
            (Some(query), 0) => Ok(query.plan),
            (_, others) => Err(SqlError::NotOneQuery(others + 1).into()),
        }
    }

    pub(crate) async fn plan_query(
        &self,
        query: &QueryText,
        options: &Options,
        output_mode: OutputMode,
    ) -> Result<StreamingPlan, QueryError> {
        let context = self.context()?;
        let mut select = query.resolve(&QueryNames { state: &context.state(), catalog: &self.catalog })?;
        if select.streams.is_empty() {
            return Err(SqlError::NoStream.into());
        }
        let streams = self.register_streams(&context, &mut select, options)?;
        self.register_tables(&context, &mut select).await?;
        let operators = std::mem::take(&mut select.operators);
        context.register_relation_planner(Arc::new(OperatorPlanner { operators }))?;
        let state = context.state();
        let statement = Statement::Statement(Box::new(select.statement.clone()));
        let plan =
            state.statement_to_plan(statement).await.map_err(|error| analysis_error(&error, &select))?;
        let plan = plan_windows(plan).map_err(|error| analysis_error(&error, &select))?;
        output_mode::check(&plan, output_mode)?;
        // Each batch is optimized for itself, with its own time; here it is for the errors.
        let optimized = state.optimize(&plan).map_err(|error| analysis_error(&error, &select))?;
        check_joins(&optimized).map_err(|error| analysis_error(&error, &select))?;
        let planned: Vec<_> =
            plan.schema().fields().iter().map(|field| written_name(field.name()).to_owned()).collect();
        let names = select.column_names(&planned);
        let (conf, time_zone) = (self.conf.clone(), self.zone);
        Ok(StreamingPlan { context, conf, plan, streams, names, output_mode, time_zone })
    }

    /// Each query has one for itself, with the time zone that is set when it is planned.
    pub(crate) fn context(&self) -> Result<SessionContext, QueryError> {
        let time_zone = self.conf.session_time_zone();
        let state = SessionStateBuilder::new()
            .with_config(session_config(&time_zone))
            .with_default_features()
            .with_spark_features()
            .with_type_planner(Arc::new(SparkTypePlanner { time_zone: time_zone.as_str().into() }))
            .with_query_planner(Arc::new(StreamingQueryPlanner))
            .with_physical_optimizer_rules(physical_optimizer_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        functions::register(&mut *context.state_ref().write(), &time_zone, self.zone)?;
        Ok(context)
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

    /// A declared table as a stream, or the topic of that name.
    fn define_stream(
        &self,
        relation: &Relation,
        defaults: &Options,
    ) -> Result<Arc<dyn SourceDefinition>, QueryError> {
        let declared = match self.catalog.get(&relation.name) {
            Some(Entry::Table(table)) => Some(table),
            _ => None,
        };
        let mut options = defaults.clone();
        for (key, value) in declared.iter().flat_map(|table| table.options.iter()) {
            options.set(key, value);
        }
        let options = options.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let options = topic_options(&relation.name, &options)?;
        Ok(Arc::new(KafkaDefinition::new(options, &self.conf.session_time_zone())))
    }

    async fn register_tables(
        &self,
        context: &SessionContext,
        select: &mut StreamingSelect,
    ) -> Result<(), QueryError> {
        for relation in select.tables.clone() {
            let Some(Entry::Table(table)) = self.catalog.get(&relation.name) else {
                let (name, position) = (relation.name, relation.position);
                return Err(SqlError::TableNotFound { name, position }.into());
            };
            let provider = static_table::open(context, table).await?;
            let provider = lowered(provider, &relation.table, select)?;
            context.register_table(TableReference::bare(relation.table.as_str()), provider)?;
        }
        Ok(())
    }
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

struct QueryNames<'a> {
    state: &'a SessionState,
    catalog: &'a Catalog,
}

impl Names for QueryNames<'_> {
    fn is_function(&self, name: &str) -> bool {
        self.state.scalar_functions().contains_key(name)
            || self.state.aggregate_functions().contains_key(name)
            || self.state.window_functions().contains_key(name)
            || self.state.higher_order_functions().contains_key(name)
    }

    fn is_table(&self, name: &str) -> bool {
        matches!(self.catalog.get(name), Some(Entry::Table(_)))
    }

    fn view(&self, name: &str) -> Option<Arc<View>> {
        match self.catalog.get(name) {
            Some(Entry::View(view)) => Some(view.clone()),
            _ => None,
        }
    }
}

/// The options of a topic that no statement declares: it is what is subscribed to, unless the options say otherwise.
pub fn topic_options(topic: &str, options: &BTreeMap<String, String>) -> Result<KafkaOptions, OptionError> {
    let mut options = options.clone();
    let strategies = ["assign", "subscribe", "subscribepattern"];
    if !options.keys().any(|key| strategies.contains(&key.to_lowercase().as_str())) {
        options.insert("subscribe".to_owned(), topic.to_owned());
    }
    KafkaOptions::parse(&options)
}

fn session_config(time_zone: &str) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        // Rows of a partition stay in order, and an aggregation has one final half (see `SplitAggregate`).
        .with_round_robin_repartition(false)
        .with_repartition_aggregations(false)
        // The sides of a join are where `plan_joins` puts them, and static data are held once.
        .with_repartition_joins(false);
    let options = config.options_mut();
    options.execution.time_zone = Some(time_zone.to_owned());
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // It would narrow what a stream's scan reads, while state still wants the rows.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.join_reordering = false;
    // As Spark: a key that is null has no partner, and such a row does not move the watermark.
    options.optimizer.filter_null_join_keys = true;
    // Spark sorts nulls first, and last when descending.
    options.sql_parser.default_null_ordering = "nulls_min".to_owned();
    config
}

/// Without the rule that fuses the two halves of an aggregation: state goes in between.
fn physical_optimizer_rules()
-> Vec<Arc<dyn datafusion::physical_optimizer::PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| rule.name() != "CombinePartialFinalAggregate");
    rules
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
    // What follows on further lines is for those who work on DataFusion.
    let message = match root {
        DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) => message.clone(),
        other => other.strip_backtrace(),
    };
    let message = message.lines().next().unwrap_or_default().to_owned();
    let error = match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => SqlError::Analysis {
            message,
            position: Position { line: span.start.line, column: span.start.column.saturating_sub(1) },
        },
        None => SqlError::Unpositioned(message),
    };
    error.into()
}
