//! From a job's text to a query that can run: DataFusion under Spark's rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::SchemaError;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion_spark::SessionStateBuilderSpark;
use thiserror::Error;

use crate::conf::Conf;
use crate::functions;
use crate::kafka::options::{KafkaOptions, OptionError};
use crate::kafka::schema::written_name;
use crate::kafka::stream::KafkaDefinition;
use crate::operators::joins::check_joins;
use crate::operators::planner::StreamingQueryPlanner;
use crate::operators::time_window::plan_windows;
use crate::output_mode::{self, OutputMode, UnsupportedQuery};
use crate::source::{SourceDefinition, StreamTable};
use crate::sql::types::SparkTypePlanner;
use crate::sql::{self, Position, SqlError, StreamingSelect};

/// Settings and functions; makes queries.
pub struct Session {
    conf: Conf,
    zone: Tz,
    context: SessionContext,
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
}

impl StreamingPlan {
    /// What a sink of this query gets.
    pub fn schema(&self) -> SchemaRef {
        self.named(self.plan.schema().as_arrow())
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
    Option(#[from] OptionError),
    #[error("{0}")]
    Engine(#[from] DataFusionError),
}

impl Session {
    pub fn new(conf: Conf) -> Result<Session, QueryError> {
        let time_zone = conf.session_time_zone();
        let zone: Tz = time_zone.parse().map_err(DataFusionError::from)?;
        let state = SessionStateBuilder::new()
            .with_config(session_config(&time_zone))
            .with_default_features()
            .with_spark_features()
            .with_type_planner(Arc::new(SparkTypePlanner { time_zone: time_zone.as_str().into() }))
            .with_query_planner(Arc::new(StreamingQueryPlanner))
            .with_physical_optimizer_rules(physical_optimizer_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        functions::register(&mut *context.state_ref().write(), &time_zone, zone)?;
        Ok(Session { conf, zone, context })
    }

    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    #[cfg(test)]
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub fn time_zone(&self) -> Tz {
        self.zone
    }

    /// Reads and checks a job, whose streams are topics, each read with `options`. No broker is asked.
    pub async fn plan(
        self,
        text: &str,
        options: &BTreeMap<String, String>,
        output_mode: OutputMode,
    ) -> Result<StreamingPlan, QueryError> {
        let state = self.context.state();
        let is_function = |name: &str| {
            state.scalar_functions().contains_key(name)
                || state.aggregate_functions().contains_key(name)
                || state.window_functions().contains_key(name)
        };
        let select = sql::parse(text, &is_function)?;
        let streams = self.register_streams(&select, options)?;
        let state = self.context.state();
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
        Ok(StreamingPlan { context: self.context, conf: self.conf, plan, streams, names, output_mode })
    }

    fn register_streams(
        &self,
        select: &StreamingSelect,
        options: &BTreeMap<String, String>,
    ) -> Result<Vec<Stream>, QueryError> {
        let mut streams = Vec::new();
        for relation in &select.streams {
            let options = topic_options(&relation.topic, options)?;
            let definition: Arc<dyn SourceDefinition> =
                Arc::new(KafkaDefinition::new(options, &self.conf.session_time_zone()));
            let table = Arc::new(StreamTable::new(definition.schema()));
            self.context.register_table(TableReference::bare(relation.table.as_str()), table.clone())?;
            streams.push(Stream { definition, table });
        }
        Ok(streams)
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
