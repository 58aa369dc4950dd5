//! A job: its statements one after the other, and the queries that come of them.

use std::sync::Arc;

use crate::catalog::{Entry, WrittenTable};
use crate::checkpoint::Checkpoint;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::session::written_table::{self, MatchedBy};
use crate::session::{QueryError, Session, StreamingPlan, is_kafka};
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

/// Sinks that write the files of a folder.
const FILE_FORMATS: &[&str] = &["csv", "json", "parquet", "text"];

/// What the statements leave open.
#[derive(Clone, Debug, Default)]
pub struct JobDefaults {
    /// Of Kafka sources, such as `kafka.bootstrap.servers`. What a table says goes before.
    pub source_options: Options,
    pub output_mode: OutputMode,
}

impl Session {
    /// Runs the statements of a job and returns its queries, none of which has started. No broker is asked.
    pub fn plan_job(&mut self, text: &str, defaults: &JobDefaults) -> Result<Vec<JobQuery>, QueryError> {
        let mut queries = Vec::new();
        for statement in sql::parse_job(text)? {
            let position = statement.position;
            match statement.kind {
                StatementKind::Set { key, value } => self.set(&key, &value)?,
                StatementKind::CreateTable(table) => self.catalog.declare_table(table, position)?,
                StatementKind::CreateView(view) => self.catalog.declare_view(view, position)?,
                StatementKind::CreateStreamingTable { table, query } => {
                    let table = Arc::new(table);
                    let columns = self.declared_columns(table.columns.as_deref())?.unwrap_or_default();
                    self.catalog.declare_streaming_table(&table, columns, position)?;
                    if let Some(query) = query {
                        let name = table.name.clone();
                        let flow = PlannedFlow { name, table, matched_by: MatchedBy::Name };
                        queries.push(self.plan_flow(flow, &query, defaults, position)?);
                    }
                }
                StatementKind::Flow(Flow { name, table, by_name, query }) => {
                    let table = self.catalog.streaming_table(&table, position)?.definition;
                    let name = name.unwrap_or_else(|| table.name.clone());
                    let matched_by = if by_name { MatchedBy::Name } else { MatchedBy::Position };
                    let flow = PlannedFlow { name, table, matched_by };
                    queries.push(self.plan_flow(flow, &query, defaults, position)?);
                }
                StatementKind::Query(query) => {
                    let mode = defaults.output_mode;
                    let plan = self.plan_query(&query, &defaults.source_options, mode)?;
                    let set_aside = self.set_aside_tables(position)?;
                    let query = JobQuery { name: None, plan, sink: JobSink::Default, set_aside };
                    queries.push((query, MatchedBy::Name));
                }
            }
        }
        if queries.is_empty() {
            return Err(SqlError::NoQuery.into());
        }
        // Later queries may have given a table more columns.
        let queries =
            queries.into_iter().map(|(query, matched_by)| self.with_columns_of_table(query, matched_by));
        let queries = queries.collect::<Result<Vec<_>, _>>()?;
        refuse_repeated_names(&queries)?;
        refuse_shared_files(&queries)?;
        Ok(queries)
    }

    fn plan_flow(
        &mut self,
        PlannedFlow { name, table, matched_by }: PlannedFlow,
        query: &QueryText,
        defaults: &JobDefaults,
        position: Position,
    ) -> Result<(JobQuery, MatchedBy), QueryError> {
        let mode = match table.options.get("outputMode") {
            Some(mode) => mode.parse()?,
            None => defaults.output_mode,
        };
        let plan = self.plan_query(query, &defaults.source_options, mode)?;
        let known = self.catalog.streaming_table(&table.name, position)?.columns;
        if table.columns.is_none() && (matched_by == MatchedBy::Name || known.is_empty()) {
            let columns = written_table::merged(&table.name, &known, plan.schema().fields())?;
            self.catalog.set_columns(&table.name, columns);
        }
        let set_aside = self.set_aside_tables(position)?;
        Ok((JobQuery { name: Some(name), plan, sink: JobSink::Table(table), set_aside }, matched_by))
    }

    fn with_columns_of_table(&self, query: JobQuery, matched_by: MatchedBy) -> Result<JobQuery, QueryError> {
        let table = match &query.sink {
            // The columns of a record are those that the query has.
            JobSink::Table(table) if !query.format().is_some_and(is_kafka) => table.clone(),
            _ => return Ok(query),
        };
        let Some(Entry::StreamingTable(WrittenTable { columns, .. })) = self.catalog.get(&table.name) else {
            return Ok(query);
        };
        let plan = query.plan.written_to(&table.name, columns, matched_by)?;
        Ok(JobQuery { plan, ..query })
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
            return Ok(Some(self.catalog.streaming_table(name, position)?.definition));
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

/// A query that writes a streaming table.
struct PlannedFlow {
    name: String,
    table: Arc<TableDefinition>,
    matched_by: MatchedBy,
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

/// A folder of files has one log of what is in it, which one query writes.
fn refuse_shared_files(queries: &[JobQuery]) -> Result<(), SqlError> {
    let is_of_files = |query: &&JobQuery| {
        query.format().is_some_and(|format| FILE_FORMATS.contains(&format.to_lowercase().as_str()))
    };
    let tables: Vec<_> = queries.iter().filter(is_of_files).filter_map(JobQuery::writes).collect();
    let shared =
        tables.iter().enumerate().find(|(place, table)| tables.iter().take(*place).any(|t| t == *table));
    match shared {
        Some((_, table)) => Err(SqlError::Unpositioned(format!(
            "two flows write the files of {table}, and a folder takes the files of one query, as in Spark; put both into one \
             with UNION ALL, or write them to a topic"
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

    /// The streaming tables of the job that it reads, in lower case.
    pub fn reads(&self) -> impl Iterator<Item = &str> {
        self.plan.reads.iter().map(String::as_str)
    }

    /// The streaming table that it writes, in lower case.
    pub fn writes(&self) -> Option<String> {
        match &self.sink {
            JobSink::Default => None,
            JobSink::Table(table) => Some(table.name.to_lowercase()),
        }
    }

    /// The option `checkpointLocation` of its table.
    pub fn checkpoint_location(&self) -> Option<&str> {
        match &self.sink {
            JobSink::Default => None,
            JobSink::Table(table) => table.options.get("checkpointLocation"),
        }
    }

    /// The setting `spark.sql.streaming.checkpointLocation`.
    pub fn checkpoint_base(&self) -> Option<&str> {
        self.plan.conf.checkpoint_location()
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
