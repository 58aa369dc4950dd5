//! From a name in a query to what is read: a table that a statement declares, what another query of the job writes, or a topic.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::catalog::TableProvider;

use super::{QueryError, Session, has_subscription, is_kafka};
use crate::catalog::{Entry, WrittenTable};
use crate::options::Options;
use crate::schema;
use crate::source::{self, Declared, SourceDefinition};
use crate::sql::{Relation, SqlError, TableDefinition};

impl Session {
    /// A table of the job as a stream, or the topic of that name.
    pub(super) fn define_stream(
        &self,
        relation: &Relation,
        defaults: &Options,
    ) -> Result<Arc<dyn SourceDefinition>, QueryError> {
        if let Some(declared) = self.declared.get(&relation.name.to_lowercase()) {
            return Ok(declared.clone());
        }
        match self.reading(relation, defaults)? {
            Some(reading) => {
                let time_zone = self.conf.session_time_zone();
                Ok(source::stream(&reading.format, &reading.declared(&time_zone))?)
            }
            None => self.define("kafka", Some(&relation.name), defaults, None),
        }
    }

    /// A table of the job that is read whole by each batch.
    pub(super) fn define_table(
        &self,
        relation: &Relation,
        defaults: &Options,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let Some(reading) = self.reading(relation, &of_consumer(defaults))? else {
            let (name, position) = (relation.name.clone(), relation.position);
            return Err(SqlError::TableNotFound { name, position }.into());
        };
        let time_zone = self.conf.session_time_zone();
        Ok(source::static_table(&reading.format, &reading.declared(&time_zone))?)
    }

    /// `None` for a name that no statement declares.
    fn reading(&self, relation: &Relation, defaults: &Options) -> Result<Option<Reading>, QueryError> {
        match self.catalog.get(&relation.name) {
            Some(Entry::Table(table)) => {
                let (format, options) = read_options(table, defaults);
                Ok(Some(Reading {
                    format: format.to_owned(),
                    options: with_topic(options, format, Some(&relation.name)),
                    schema: self.declared_schema(table.columns.as_deref())?,
                    is_written_by_job: false,
                }))
            }
            Some(Entry::StreamingTable(table)) => written(table, relation, defaults).map(Some),
            _ => Ok(None),
        }
    }

    /// `topic` is what a Kafka source reads that says nothing else. `columns` are in Spark's DDL.
    pub(crate) fn define(
        &self,
        format: &str,
        topic: Option<&str>,
        options: &Options,
        columns: Option<&str>,
    ) -> Result<Arc<dyn SourceDefinition>, QueryError> {
        let schema = self.declared_schema(columns)?;
        let options = with_topic(options.clone(), format, topic);
        Ok(source::define(format, &options, schema, &self.conf.session_time_zone())?)
    }

    fn declared_schema(&self, columns: Option<&str>) -> Result<Option<SchemaRef>, QueryError> {
        Ok(self.declared_columns(columns)?.map(|fields| Arc::new(Schema::new(fields))))
    }

    /// Spark's DDL.
    pub(crate) fn declared_columns(&self, columns: Option<&str>) -> Result<Option<Fields>, QueryError> {
        let time_zone = self.conf.session_time_zone();
        Ok(columns.map(|columns| schema::parse_columns(columns, &time_zone)).transpose()?)
    }
}

/// How a table of the job is read.
struct Reading {
    format: String,
    options: Options,
    schema: Option<SchemaRef>,
    is_written_by_job: bool,
}

impl Reading {
    fn declared<'a>(&'a self, time_zone: &'a str) -> Declared<'a> {
        let Reading { options, schema, is_written_by_job, .. } = self;
        Declared { options, schema: schema.clone(), time_zone, is_written_by_job: *is_written_by_job }
    }
}

/// What other queries of the job write: the topic or the files of a streaming table.
fn written(table: &WrittenTable, relation: &Relation, defaults: &Options) -> Result<Reading, QueryError> {
    let WrittenTable { definition, columns } = table;
    let format = definition.format.as_deref().unwrap_or("parquet").to_owned();
    if is_kafka(&format) && definition.options.get("topic").is_some() {
        let mut options = with_topic(defaults.clone(), &format, definition.options.get("topic"));
        // All that the table has, as of one whose files are read.
        if defaults.get("startingOffsets").is_none() {
            options.set("startingOffsets", "earliest");
        }
        return Ok(Reading { format, options, schema: None, is_written_by_job: true });
    }
    if columns.is_empty() {
        let message = format!(
            "the columns of the streaming table {} are not known yet: declare them, or put the query that writes it before \
             this one",
            relation.name
        );
        return Err(SqlError::Analysis { message, position: relation.position }.into());
    }
    let schema = Some(Arc::new(Schema::new(columns.clone())));
    Ok(Reading { format, options: definition.options.clone(), schema, is_written_by_job: true })
}

/// Where streams begin, and how much a batch takes, says nothing of tables that are read whole.
fn of_consumer(defaults: &Options) -> Options {
    defaults.iter().filter(|(key, _)| key.to_lowercase().starts_with("kafka.")).collect()
}

/// A table's format, and its options; `defaults` are those of Kafka sources.
fn read_options<'a>(table: &'a TableDefinition, defaults: &Options) -> (&'a str, Options) {
    let format = table.format.as_deref().unwrap_or("parquet");
    if !is_kafka(format) {
        return (format, table.options.clone());
    }
    let mut options = defaults.clone();
    table.options.iter().for_each(|(key, value)| options.set(key, value));
    (format, options)
}

/// What a Kafka source reads that says nothing else.
fn with_topic(mut options: Options, format: &str, topic: Option<&str>) -> Options {
    if let Some(topic) = topic.filter(|_| is_kafka(format) && !has_subscription(&options)) {
        options.set("subscribe", topic);
    }
    options
}
