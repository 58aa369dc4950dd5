//! From a job's text to a query that can run: DataFusion under Spark's rules.

mod context;
mod frame;
mod literals;
mod query;
mod reading;
pub(crate) mod written_table;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use thiserror::Error;

use crate::catalog::Catalog;
use crate::conf::{Conf, ConfError};
use crate::job::JobDefaults;
use crate::malformed_records::MalformedRecords;
use crate::options::Options;
use crate::output_mode::{OutputMode, UnsupportedQuery};
use crate::schema::SchemaError;
use crate::source::{SourceDefinition, SourceError, StreamTable};
use crate::sql::SqlError;

pub(crate) use frame::Frame;
#[cfg(test)]
pub(crate) use literals::with_spark_literals;
pub use written_table::InsertError;

/// Settings, tables and views; makes queries.
pub struct Session {
    conf: Conf,
    zone: Tz,
    pub(crate) catalog: Catalog,
    /// Where memory sinks of queries built in Rust have their tables.
    pub(crate) tables: Arc<OnceLock<SessionContext>>,
    /// Streams that a program declares, by name in lower case.
    declared: BTreeMap<String, Arc<dyn SourceDefinition>>,
}

/// A query over streams that Spark would run in this output mode.
pub struct StreamingPlan {
    pub(crate) context: SessionContext,
    pub(crate) conf: Conf,
    pub(crate) plan: LogicalPlan,
    pub(crate) streams: Vec<Stream>,
    /// The streaming tables of the job that it reads, in lower case.
    pub(crate) reads: Vec<String>,
    /// Of each session that a part of the query was made in.
    pub(crate) malformed: Vec<Arc<MalformedRecords>>,
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
#[derive(Clone, Debug)]
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
    Insert(#[from] InsertError),
    #[error(transparent)]
    Conf(#[from] ConfError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("{0}")]
    Engine(#[from] DataFusionError),
    /// What went wrong in a frame that this one is made of.
    #[error(transparent)]
    Step(Arc<QueryError>),
}

impl Session {
    pub fn new(conf: Conf) -> Result<Session, QueryError> {
        let zone = conf.session_time_zone().parse().map_err(DataFusionError::from)?;
        Ok(Session {
            conf,
            zone,
            catalog: Catalog::default(),
            tables: Arc::default(),
            declared: BTreeMap::new(),
        })
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

    /// `FROM STREAM name` is this stream from now on, whatever a statement declares.
    pub fn declare(&mut self, name: &str, definition: Arc<dyn SourceDefinition>) {
        self.declared.insert(name.to_lowercase(), definition);
    }

    /// Reads and checks a job of one query, whose undeclared streams are topics, each read with `options`. No broker
    /// is asked.
    pub fn plan(
        mut self,
        text: &str,
        options: &BTreeMap<String, String>,
        output_mode: OutputMode,
    ) -> Result<StreamingPlan, QueryError> {
        let defaults = JobDefaults { source_options: Options::from_iter(options), output_mode };
        let mut queries = self.plan_job(text, &defaults)?;
        match (queries.pop(), queries.len()) {
            (Some(query), 0) => Ok(query.plan),
            (_, others) => Err(SqlError::NotOneQuery(others + 1).into()),
        }
    }
}

pub(crate) fn is_kafka(format: &str) -> bool {
    format.eq_ignore_ascii_case("kafka")
}

/// Whether the options of a Kafka source say what it reads.
fn has_subscription(options: &Options) -> bool {
    ["assign", "subscribe", "subscribePattern"].into_iter().any(|key| options.get(key).is_some())
}
