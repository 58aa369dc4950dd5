//! DataFusion under Spark's rules.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use datafusion_spark::SessionStateBuilderSpark;

use super::Session;
use crate::functions;
use crate::functions::syntax::SparkSyntax;
use crate::malformed_records::MalformedRecords;
use crate::operators::planner::StreamingQueryPlanner;
use crate::sql::types::SparkTypePlanner;

impl Session {
    /// Each query has one for itself, with the time zone that is set when it is planned.
    pub(crate) fn context(&self) -> Result<SessionContext, DataFusionError> {
        let time_zone = self.conf.session_time_zone();
        let malformed = Arc::new(MalformedRecords::default());
        let state = SessionStateBuilder::new()
            .with_config(session_config(&time_zone).with_extension(malformed.clone()))
            .with_expr_planners(vec![Arc::new(SparkSyntax { ansi: self.conf.ansi() })])
            .with_default_features()
            .with_spark_features()
            .with_type_planner(Arc::new(SparkTypePlanner { time_zone: time_zone.as_str().into() }))
            .with_optimizer_rules(optimizer_rules())
            .with_query_planner(Arc::new(StreamingQueryPlanner))
            .with_physical_optimizer_rules(physical_optimizer_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let ansi = self.conf.ansi();
        functions::register(&mut *context.state_ref().write(), &time_zone, self.zone, ansi, &malformed)?;
        Ok(context)
    }
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
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // It would narrow what a stream's scan reads, while state still wants the rows.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.join_reordering = false;
    // As Spark: a key that is null has no partner, and such a row does not move the watermark.
    options.optimizer.filter_null_join_keys = true;
    // It would put fields of one text apart, each with a parse of its own (see `functions::json::prune`).
    options.optimizer.enable_leaf_expression_pushdown = false;
    // Spark sorts nulls first, and last when descending.
    options.sql_parser.default_null_ordering = "nulls_min".to_owned();
    config
}

/// Without the rule that fuses the two halves of an aggregation: state goes in between.
/// Without the rule that groups by what is not constant alone: the time of a batch is constant within it, and its groups
/// are not those of the next.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| rule.name() != "eliminate_group_by_constant");
    rules
}

fn physical_optimizer_rules()
-> Vec<Arc<dyn datafusion::physical_optimizer::PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| rule.name() != "CombinePartialFinalAggregate");
    rules
}
