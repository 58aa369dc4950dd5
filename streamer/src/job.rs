//! A job: its statements one after the other, and the queries that come of them.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::session::{QueryError, Session, StreamingPlan};
use crate::set_aside::{self, SetAside};
use crate::sink::{self, Sink, SinkContext, SinkError};
use crate::sql::{self, Flow, IfExists, Position, QueryText, SqlError, StatementKind, TableDefinition};

/// One query of a job.
pub struct JobQuery {
    /// The streaming table or the flow; none for a SELECT by itself.
    pub name: Option<String>,
    pub plan: StreamingPlan,
    pub sink: JobSink,
    pub set_aside: SetAsideTables,
}

/// Where rows go that the query does not use; those of which nothing is said here are only counted.
#[derive(Clone, Debug)]
pub struct SetAsideTables {
    /// The setting `ottla.lateRows`.
    pub late: Option<Arc<TableDefinition>>,
    /// The setting `ottla.malformedRows`.
    pub malformed: Option<Arc<TableDefinition>>,
}

/// Where the rows of a query go.
#[derive(Clone, Debug)]
pub enum JobSink {
    /// Where whoever runs the job says.
    Default,
    Table(Arc<TableDefinition>),
}

/// What the statements leave open.
#[derive(Clone, Debug, Default)]
pub struct JobDefaults {
    /// Of Kafka sources, such as `kafka.bootstrap.servers`. What a table says goes before.
    pub source_options: Options,
    pub output_mode: OutputMode,
}

impl Session {
    /// Runs the statements of a job and returns its queries, none of which has started. No broker is asked.
    pub async fn plan_job(
        &mut self,
        text: &str,
        defaults: &JobDefaults,
    ) -> Result<Vec<JobQuery>, QueryError> {
        let mut queries = Vec::new();
        for statement in sql::parse_job(text)? {
            let position = statement.position;
            match statement.kind {
                StatementKind::Set { key, value } => self.set(&key, &value)?,
                StatementKind::CreateTable(table) => self.catalog.declare_table(table, position)?,
                StatementKind::CreateView(view) => self.catalog.declare_view(view, position)?,
                StatementKind::CreateStreamingTable { table, query } => {
                    let table = Arc::new(table);
                    self.catalog.declare_streaming_table(&table, position)?;
                    if let Some(query) = query {
                        let name = table.name.clone();
                        queries.push(self.plan_flow(name, table, &query, defaults, position).await?);
                    }
                }
                StatementKind::Flow(Flow { name, table, query }) => {
                    let table = self.catalog.streaming_table(&table, position)?;
                    let name = name.unwrap_or_else(|| table.name.clone());
                    queries.push(self.plan_flow(name, table, &query, defaults, position).await?);
                }
                StatementKind::Query(query) => {
                    let mode = defaults.output_mode;
                    let plan = self.plan_query(&query, &defaults.source_options, mode).await?;
                    let set_aside = self.set_aside_tables(position)?;
                    queries.push(JobQuery { name: None, plan, sink: JobSink::Default, set_aside });
                }
            }
        }
        if queries.is_empty() {
            return Err(SqlError::NoQuery.into());
        }
        refuse_repeated_names(&queries)?;
        Ok(queries)
    }

    async fn plan_flow(
        &self,
        name: String,
        table: Arc<TableDefinition>,
        query: &QueryText,
        defaults: &JobDefaults,
        position: Position,
    ) -> Result<JobQuery, QueryError> {
        let mode = match table.options.get("outputMode") {
            Some(mode) => mode.parse()?,
            None => defaults.output_mode,
        };
        let plan = self.plan_query(query, &defaults.source_options, mode).await?;
        let set_aside = self.set_aside_tables(position)?;
        Ok(JobQuery { name: Some(name), plan, sink: JobSink::Table(table), set_aside })
    }

    fn set_aside_tables(&self, position: Position) -> Result<SetAsideTables, SqlError> {
        Ok(SetAsideTables {
            late: self.set_aside_table(self.conf().late_rows(), position)?,
            malformed: self.set_aside_table(self.conf().malformed_rows(), position)?,
        })
    }

    /// A name that is not declared is a topic.
    fn set_aside_table(
        &self,
        name: Option<&str>,
        position: Position,
    ) -> Result<Option<Arc<TableDefinition>>, SqlError> {
        let Some(name) = name else {
            return Ok(None);
        };
        if self.catalog.get(name).is_some() {
            return self.catalog.streaming_table(name, position).map(Some);
        }
        Ok(Some(Arc::new(TableDefinition {
            name: name.to_owned(),
            if_exists: IfExists::Fail,
            format: Some("kafka".to_owned()),
            options: Options::from_iter([("topic", name)]),
            columns: None,
            partitioned_by: Vec::new(),
        })))
    }
}

/// Each has a checkpoint under its name.
fn refuse_repeated_names(queries: &[JobQuery]) -> Result<(), SqlError> {
    let names: Vec<_> =
        queries.iter().filter_map(|query| query.name.as_ref().map(|name| name.to_lowercase())).collect();
    let repeated =
        names.iter().enumerate().find(|(place, name)| names.iter().take(*place).any(|n| n == *name));
    match repeated {
        Some((_, name)) => Err(SqlError::Unpositioned(format!(
            "two queries of the job are called {name}; give each flow a name of its own: CREATE FLOW <name> AS INSERT \
             INTO …"
        ))),
        None => Ok(()),
    }
}

impl JobQuery {
    /// The format that its rows are written in, unless whoever runs the job says it.
    pub fn format(&self) -> Option<&str> {
        match &self.sink {
            JobSink::Default => None,
            // Spark's `spark.sql.sources.default`.
            JobSink::Table(table) => Some(table.format.as_deref().unwrap_or("parquet")),
        }
    }

    /// The option `checkpointLocation` of its table.
    pub fn checkpoint_location(&self) -> Option<&str> {
        match &self.sink {
            JobSink::Default => None,
            JobSink::Table(table) => table.options.get("checkpointLocation"),
        }
    }

    /// The sink of a streaming table; `None` for a SELECT by itself. Nothing is connected to or written yet.
    pub fn open_sink(
        &self,
        checkpoint: &Checkpoint,
        bootstrap_servers: &str,
    ) -> Result<Option<Box<dyn Sink>>, SinkError> {
        let (JobSink::Table(table), Some(format)) = (&self.sink, self.format()) else {
            return Ok(None);
        };
        let context = self.sink_context(checkpoint, bootstrap_servers, table);
        let sink = sink::open(format, &table.options, &context)?;
        sink.supports(self.plan.output_mode)?;
        Ok(Some(sink))
    }

    /// The sink of late rows, if they are wanted.
    pub fn open_late_rows(
        &self,
        checkpoint: &Checkpoint,
        bootstrap_servers: &str,
    ) -> Result<Option<SetAside>, SinkError> {
        let table = self.set_aside.late.as_deref();
        table.map(|table| self.open_set_aside(table, "late-rows", checkpoint, bootstrap_servers)).transpose()
    }

    /// The sink of malformed rows, if they are wanted.
    pub fn open_malformed_rows(
        &self,
        checkpoint: &Checkpoint,
        bootstrap_servers: &str,
    ) -> Result<Option<SetAside>, SinkError> {
        let table = self.set_aside.malformed.as_deref();
        table
            .map(|table| self.open_set_aside(table, "malformed-rows", checkpoint, bootstrap_servers))
            .transpose()
    }

    fn open_set_aside(
        &self,
        table: &TableDefinition,
        what: &str,
        checkpoint: &Checkpoint,
        bootstrap_servers: &str,
    ) -> Result<SetAside, SinkError> {
        let context = SinkContext {
            // Of its own, so that no sink takes another's batches for its own.
            query_id: format!("{}-{what}", checkpoint.query_id()),
            schema: set_aside::schema(),
            ..self.sink_context(checkpoint, bootstrap_servers, table)
        };
        let sink = sink::open(table.format.as_deref().unwrap_or("parquet"), &table.options, &context)?;
        sink.supports(OutputMode::Append)?;
        Ok(SetAside::new(sink))
    }

    fn sink_context(
        &self,
        checkpoint: &Checkpoint,
        bootstrap_servers: &str,
        table: &TableDefinition,
    ) -> SinkContext {
        SinkContext {
            query_id: checkpoint.query_id().to_owned(),
            query_name: self.name.clone(),
            checkpoint: checkpoint.folder().to_owned(),
            time_zone: self.plan.time_zone,
            bootstrap_servers: bootstrap_servers.to_owned(),
            partition_columns: table.partitioned_by.clone(),
            schema: self.plan.schema(),
            session: self.plan.context.clone(),
        }
    }
}
