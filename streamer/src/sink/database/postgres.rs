//! Rows into a table of PostgreSQL, exactly once.
//!
//! Options: `url` (`postgresql://host:5432/db`, or as Spark's JDBC source has it with `jdbc:` before), `user`,
//! `password`, `dbtable`, and `keyColumns` with commas between. A table that is missing is made.
//!
//! Each batch is one transaction, which also notes the batch's id in the table `ottla_batches`; a batch that is noted
//! is not written again. With `keyColumns` a row takes the place of the one with its key, without it is added.
//! In complete mode a batch takes the place of all rows. A killed run leaves nothing.

use std::pin::pin;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::runtime::SpawnedTask;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, Config, NoTls, Transaction};

use super::error::DatabaseError;
use super::table::Table;
use super::text::DatabaseText;
use crate::crash_point;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::sink::{Sink, SinkBatch, SinkContext, SinkError, spark_layout};

/// Rows are sent in pieces of about so many bytes.
const COPY_BYTES: usize = 64 << 10;
/// Where the rows of a batch wait for their keys to be compared.
const STAGE: &str = "pg_temp.ottla_batch";
/// So that two queries that start at once do not both make the same table. Any number that others do not use.
const CREATE_LOCK: i64 = 0x6f74_746c_6101;

pub struct PostgresSink {
    config: Config,
    server: String,
    table: Table,
    text: DatabaseText,
    query_id: String,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    /// Carries the bytes; ends with the connection.
    _task: SpawnedTask<()>,
}

impl PostgresSink {
    pub fn new(options: &Options, context: &SinkContext) -> Result<PostgresSink, SinkError> {
        let url = options.required("url", "a PostgreSQL sink")?;
        let url = url.strip_prefix("jdbc:").unwrap_or(url);
        let mut config: Config = url.parse().map_err(|error| DatabaseError::Url(describe(&error)))?;
        if let Some(user) = options.get("user") {
            config.user(user);
        }
        if let Some(password) = options.get("password") {
            config.password(password);
        }
        config.application_name("ottla-stream");
        Ok(PostgresSink {
            server: server(&config),
            config,
            table: Table::new(options, context, "a PostgreSQL sink")?,
            text: DatabaseText::new(context.time_zone),
            query_id: context.query_id.clone(),
            connection: None,
        })
    }

    async fn connect(&self) -> Result<Connection, DatabaseError> {
        let connected = self.config.connect(NoTls).await;
        let (client, connection) = connected.map_err(|error| DatabaseError::Connect {
            server: self.server.clone(),
            cause: describe(&error),
        })?;
        let task = SpawnedTask::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("the connection to PostgreSQL has ended: {}", describe(&error));
            }
        });
        let mut connection = Connection { client, _task: task };
        self.prepare(&mut connection.client).await?;
        Ok(connection)
    }

    /// Makes what is missing.
    async fn prepare(&self, client: &mut Client) -> Result<(), DatabaseError> {
        let action = "make the tables";
        let transaction = client.transaction().await.map_err(|error| self.failed(action, &error))?;
        let statements = format!(
            "SELECT pg_advisory_xact_lock({CREATE_LOCK}); {}; {}",
            self.table.create_batches(),
            self.table.create(type_name)
        );
        transaction.batch_execute(&statements).await.map_err(|error| self.failed(action, &error))?;
        if self.table.has_keys() {
            let (table, columns) = (self.table.quoted(), self.table.column_list());
            let stage = STAGE.trim_start_matches("pg_temp.");
            let staged = format!(
                "CREATE TEMP TABLE {stage} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {table} WITH NO DATA; \
                 ALTER TABLE {STAGE} ADD COLUMN __ottla_row bigserial"
            );
            transaction.batch_execute(&staged).await.map_err(|error| self.failed(action, &error))?;
        }
        transaction.commit().await.map_err(|error| self.failed(action, &error))
    }

    fn failed(&self, action: &str, error: &tokio_postgres::Error) -> DatabaseError {
        let (server, action) = (self.server.clone(), action.to_owned());
        DatabaseError::Postgres { server, action, cause: describe(error) }
    }

    /// Whether the batch is noted. Locks the query's note until the transaction's end.
    async fn has(&self, transaction: &Transaction<'_>, batch_id: i64) -> Result<bool, tokio_postgres::Error> {
        let batches = self.table.batches();
        let insert =
            format!("INSERT INTO {batches} (query_id, batch_id) VALUES ($1, -1) ON CONFLICT DO NOTHING");
        transaction.execute(&insert, &[&self.query_id]).await?;
        let select = format!("SELECT batch_id FROM {batches} WHERE query_id = $1 FOR UPDATE");
        let noted: i64 = transaction.query_one(&select, &[&self.query_id]).await?.try_get(0)?;
        Ok(batch_id <= noted)
    }

    async fn copy(&self, transaction: &Transaction<'_>, batch: SinkBatch) -> Result<u64, SinkError> {
        let target = if self.table.has_keys() { STAGE.to_owned() } else { self.table.quoted() };
        let copy = format!("COPY {target} ({}) FROM STDIN", self.table.column_list());
        let failed = |error: tokio_postgres::Error| self.failed("take the rows", &error);
        let mut out = pin!(transaction.copy_in::<_, Bytes>(&copy).await.map_err(failed)?);
        let (mut rows, mut count) = (batch.in_order(), 0);
        let (mut lines, mut scratch) = (String::new(), String::new());
        while let Some(batch) = rows.try_next().await? {
            let batch = spark_layout::cast(&batch, &self.table.columns)?;
            for row in 0..batch.num_rows() {
                for (index, column) in batch.columns().iter().enumerate() {
                    lines.push_str(if index > 0 { "\t" } else { "" });
                    self.text.write_copy_field(&mut lines, &mut scratch, column.as_ref(), row)?;
                }
                lines.push('\n');
                if lines.len() >= COPY_BYTES {
                    out.send(Bytes::from(std::mem::take(&mut lines))).await.map_err(failed)?;
                }
            }
            count += batch.num_rows() as u64;
        }
        out.send(Bytes::from(lines)).await.map_err(failed)?;
        out.finish().await.map_err(failed)?;
        Ok(count)
    }

    /// Of several rows with one key in a batch the last one counts.
    fn merge(&self) -> String {
        let (table, columns, keys) = (self.table.quoted(), self.table.column_list(), self.table.key_list());
        format!(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({keys}) {columns} FROM {STAGE} \
             ORDER BY {keys}, __ottla_row DESC{}",
            self.table.on_conflict()
        )
    }

    async fn write(&self, client: &mut Client, batch: SinkBatch) -> Result<u64, SinkError> {
        let failed = |action: &'static str| move |error: tokio_postgres::Error| self.failed(action, &error);
        let batch_id = i64::try_from(batch.id).unwrap_or(i64::MAX);
        let transaction = client.transaction().await.map_err(failed("begin a transaction"))?;
        if self.has(&transaction, batch_id).await.map_err(failed("read which batches it has"))? {
            tracing::info!("batch {batch_id} is in {} already", self.table.quoted());
            return batch.drain().await;
        }
        if batch.output_mode == OutputMode::Complete {
            let delete = format!("DELETE FROM {}", self.table.quoted());
            transaction.execute(&delete, &[]).await.map_err(failed("delete the rows of the batch before"))?;
        }
        let rows = self.copy(&transaction, batch).await?;
        crash_point::pass();
        if self.table.has_keys() {
            transaction.execute(&self.merge(), &[]).await.map_err(failed("merge the rows by their keys"))?;
        }
        let note = format!("UPDATE {} SET batch_id = $2 WHERE query_id = $1", self.table.batches());
        let noted = transaction.execute(&note, &[&self.query_id, &batch_id]).await;
        noted.map_err(failed("note the batch"))?;
        crash_point::pass();
        transaction.commit().await.map_err(failed("commit"))?;
        crash_point::pass();
        Ok(rows)
    }
}

#[async_trait]
impl Sink for PostgresSink {
    fn description(&self) -> String {
        format!("Postgres[{}, {}]", self.server, self.table.quoted())
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let rows = self.write(&mut connection.client, batch).await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Decimal128(precision, scale) => return format!("numeric({precision},{scale})"),
        nested if nested.is_nested() => "jsonb",
        _ => "text",
    };
    name.to_owned()
}

/// Where it is, without user and password.
fn server(config: &Config) -> String {
    let host = config.get_hosts().first().map_or_else(
        || "localhost".to_owned(),
        |host| match host {
            tokio_postgres::config::Host::Tcp(host) => host.clone(),
            #[cfg(unix)]
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        },
    );
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

/// The server's own words, which `tokio_postgres` keeps one level down.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        let detail = refusal.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail}, SQLSTATE {}", refusal.message(), refusal.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
