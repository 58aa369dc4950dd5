//! Spark's `DataStreamReader`.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;

use super::DataFrame;
use crate::kafka::schema::written_name;
use crate::malformed_records::MalformedRecords;
use crate::options::Options;
use crate::session::{Frame, QueryError, Session, Stream};
use crate::source::StreamTable;

/// A stream that is being described.
#[must_use]
pub struct DataStreamReader<'a> {
    session: &'a Session,
    format: String,
    options: Options,
    schema: Option<String>,
}

impl<'a> DataStreamReader<'a> {
    pub(super) fn new(session: &'a Session) -> DataStreamReader<'a> {
        DataStreamReader { session, format: "parquet".to_owned(), options: Options::default(), schema: None }
    }

    pub fn format(self, format: &str) -> Self {
        DataStreamReader { format: format.to_owned(), ..self }
    }

    /// The columns, in Spark's DDL: `user STRING, at TIMESTAMP`.
    pub fn schema(self, columns: &str) -> Self {
        DataStreamReader { schema: Some(columns.to_owned()), ..self }
    }

    /// The last value under a key counts, in any case.
    pub fn option(mut self, key: &str, value: impl Into<String>) -> Self {
        self.options.set(key, &value.into());
        self
    }

    /// The rows of the stream. Nothing is connected to.
    pub fn load(self) -> Result<DataFrame, QueryError> {
        let definition = self.session.define(&self.format, None, &self.options, self.schema.as_deref())?;
        let table = Arc::new(StreamTable::new(definition.schema()));
        let plan = LogicalPlanBuilder::scan("stream", provider_as_source(table.clone()), None)?.build()?;
        let names =
            plan.schema().fields().iter().map(|field| written_name(field.name()).to_owned()).collect();
        let context = self.session.context()?;
        let frame = Frame {
            malformed: vec![MalformedRecords::of(&context)],
            context,
            conf: self.session.conf().clone(),
            zone: self.session.time_zone(),
            plan,
            streams: vec![Stream { definition, table }],
            reads: Vec::new(),
            names,
        };
        Ok(DataFrame::new(self.session, frame))
    }
}
