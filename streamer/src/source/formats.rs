//! The sources by name: the one list of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;

use super::file::{FileDefinition, FileTable};
use super::rate::RateDefinition;
use super::rate_micro_batch::RateMicroBatchDefinition;
use super::socket::SocketDefinition;
use super::{SourceDefinition, SourceError};
use crate::kafka::options::{BatchOptions, KafkaOptions};
use crate::kafka::stream::KafkaDefinition;
use crate::kafka::table::KafkaTable;
use crate::options::Options;

/// A kind of source.
pub struct SourceFormat {
    /// In lower case.
    pub name: &'static str,
    define: fn(&Declared<'_>) -> Defined,
    /// Reads it without STREAM; `None` where there is no end to it.
    table: Option<fn(&Declared<'_>) -> Table>,
}

/// What a statement says of a stream or a table, beside its format.
pub(crate) struct Declared<'a> {
    pub(crate) options: &'a Options,
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) time_zone: &'a str,
    /// Another query of the job writes it, and may not have begun.
    pub(crate) is_written_by_job: bool,
}

type Defined = Result<Arc<dyn SourceDefinition>, SourceError>;

type Table = Result<Arc<dyn TableProvider>, SourceError>;

pub const FORMATS: &[SourceFormat] = &[
    SourceFormat {
        name: "csv",
        define: |declared| Ok(Arc::new(FileDefinition::new("csv", declared)?)),
        table: Some(|declared| Ok(Arc::new(FileTable::new("csv", declared)?))),
    },
    SourceFormat {
        name: "json",
        define: |declared| Ok(Arc::new(FileDefinition::new("json", declared)?)),
        table: Some(|declared| Ok(Arc::new(FileTable::new("json", declared)?))),
    },
    SourceFormat { name: "kafka", define: kafka, table: Some(kafka_table) },
    SourceFormat {
        name: "parquet",
        define: |declared| Ok(Arc::new(FileDefinition::new("parquet", declared)?)),
        table: Some(|declared| Ok(Arc::new(FileTable::new("parquet", declared)?))),
    },
    SourceFormat {
        name: "rate",
        define: |declared| Ok(Arc::new(RateDefinition::new(declared)?)),
        table: None,
    },
    SourceFormat {
        name: "rate-micro-batch",
        define: |declared| Ok(Arc::new(RateMicroBatchDefinition::new(declared)?)),
        table: None,
    },
    SourceFormat {
        name: "socket",
        define: |declared| Ok(Arc::new(SocketDefinition::new(declared)?)),
        table: None,
    },
    SourceFormat {
        name: "text",
        define: |declared| Ok(Arc::new(FileDefinition::new("text", declared)?)),
        table: Some(|declared| Ok(Arc::new(FileTable::new("text", declared)?))),
    },
];

/// A stream of a format, as a statement declares it: `CREATE TABLE … USING format OPTIONS (…)`. Nothing is connected to
/// or read before the query runs.
///
/// `schema` is the user's, for formats that need one. `time_zone` is the session's.
pub fn define(
    format: &str,
    options: &Options,
    schema: Option<SchemaRef>,
    time_zone: &str,
) -> Result<Arc<dyn SourceDefinition>, SourceError> {
    stream(format, &Declared { options, schema, time_zone, is_written_by_job: false })
}

pub(crate) fn stream(format: &str, declared: &Declared<'_>) -> Defined {
    (known(format)?.define)(declared)
}

/// A table that is no stream: whoever scans it reads what is there then.
pub(crate) fn table(format: &str, declared: &Declared<'_>) -> Table {
    let known = known(format)?;
    match known.table {
        Some(table) => table(declared),
        None => Err(SourceError::OnlyStream { format: known.name }),
    }
}

fn known(format: &str) -> Result<&'static SourceFormat, SourceError> {
    let found = FORMATS.iter().find(|known| known.name.eq_ignore_ascii_case(format));
    found.ok_or_else(|| SourceError::UnknownFormat { format: format.to_owned() })
}

/// The names for an error.
pub(super) fn names() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

impl Declared<'_> {
    /// For a source whose columns are always the same; `provider` is Spark's class.
    pub(super) fn refuse_schema(&self, provider: &'static str) -> Result<(), SourceError> {
        match self.schema {
            Some(_) => Err(SourceError::FixedSchema { provider }),
            None => Ok(()),
        }
    }
}

fn kafka(declared: &Declared<'_>) -> Defined {
    if declared.schema.is_some() {
        return Err(SourceError::KafkaSchema);
    }
    let options = KafkaOptions::parse(declared.options)?;
    Ok(Arc::new(KafkaDefinition::new(options, declared.time_zone)))
}

fn kafka_table(declared: &Declared<'_>) -> Table {
    if declared.schema.is_some() {
        return Err(SourceError::KafkaSchema);
    }
    let options = BatchOptions::parse(declared.options)?;
    Ok(Arc::new(KafkaTable::new(options, declared.time_zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(format: &str, options: &[(&str, &str)]) -> String {
        let options = Options::from_iter(options.iter().copied());
        define(format, &options, None, "UTC").unwrap_err().to_string()
    }

    #[test]
    fn formats_are_found_in_any_case_and_others_are_refused_in_spark_s_words() {
        let options = Options::from_iter([("subscribe", "t"), ("kafka.bootstrap.servers", "localhost:9092")]);
        let kafka = define("Kafka", &options, None, "UTC").unwrap();
        assert_eq!(kafka.schema().field(0).name(), "key");
        let error = error("nosuch", &[]);
        assert!(
            error.starts_with(
                "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: nosuch. Make sure the provider name is \
                 correct and the package is properly registered and compatible with your Spark version. SQLSTATE: 42K02"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_schema_of_the_user_s_is_refused_where_the_columns_are_fixed() {
        let options = Options::default();
        let schema = define("rate", &options, None, "UTC").unwrap().schema();
        let error = define("rate", &options, Some(schema), "UTC").unwrap_err().to_string();
        assert_eq!(error, "RateStreamProvider source does not support user-specified schema.");
    }

    #[test]
    fn options_are_refused_in_spark_s_words() {
        for (format, options, message) in [
            (
                "rate",
                &[("rowsPerSecond", "0")][..],
                "Invalid value '0'. The option 'rowsPerSecond' must be positive",
            ),
            (
                "rate",
                &[("rowsPerSecond", "x")],
                "Invalid value 'x'. The option 'rowsPerSecond' must be positive",
            ),
            (
                "rate",
                &[("rampUpTime", "-1s")],
                "Invalid value '-1s'. The option 'rampUpTime' must not be negative",
            ),
            ("rate-micro-batch", &[], "Invalid value '0'. The option 'rowsPerBatch' must be positive"),
            (
                "rate-micro-batch",
                &[("rowsPerBatch", "1"), ("startTimestamp", "-1")],
                "Invalid value '-1'. The option 'startTimestamp' must be non-negative",
            ),
            ("socket", &[], "Set a host to read from with option(\"host\", ...)."),
            ("socket", &[("host", "h")], "Set a port to read from with option(\"port\", ...)."),
            (
                "socket",
                &[("host", "h"), ("port", "1"), ("includeTimestamp", "x")],
                "IncludeTimestamp must be set to either \"true\" or \"false\".",
            ),
            ("kafka", &[], "One of the following options must be specified for Kafka source"),
        ] {
            let error = error(format, options);
            assert!(error.starts_with(message), "{error}");
        }
    }
}
