//! Rows into a table of SQLite, exactly once.
//!
//! Options: `path` of the database's file, `dbtable`, and `keyColumns` with commas between. A file or table that is
//! missing is made. Transactions, keys and modes are as with PostgreSQL (see [`super::postgres`]).
//!
//! SQLite has five types: decimals are texts, which keep all digits; dates and timestamps are texts that its date functions
//! take (`2013-07-01 10:00:00.123456`, with `Z` where the type has a zone); nested values are JSON.

use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use futures::TryStreamExt;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::mpsc;

use super::error::DatabaseError;
use super::table::Table;
use super::text::DatabaseText;
use crate::crash_point;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::sink::{Sink, SinkBatch, SinkContext, SinkError, spark_layout};

/// Batches of rows that may wait for the database.
const AHEAD: usize = 2;
/// How long another process may hold the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

pub struct SqliteSink {
    writer: Writer,
    connection: Option<Connection>,
}

/// What a thread needs to write a batch.
#[derive(Clone)]
struct Writer {
    path: String,
    table: Table,
    text: DatabaseText,
    query_id: String,
}

enum Message {
    Rows(RecordBatch),
    /// There are no more; without it the transaction is rolled back.
    Commit,
}

impl SqliteSink {
    pub fn new(options: &Options, context: &SinkContext) -> Result<SqliteSink, SinkError> {
        let writer = Writer {
            path: options.required("path", "a SQLite sink")?.to_owned(),
            table: Table::new(options, context, "a SQLite sink")?,
            text: DatabaseText::new(context.time_zone),
            query_id: context.query_id.clone(),
        };
        Ok(SqliteSink { writer, connection: None })
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn description(&self) -> String {
        format!("Sqlite[{}, {}]", self.writer.path, self.writer.table.quoted())
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let (writer, connection) = (self.writer.clone(), self.connection.take());
        let (id, replaces) = (batch.id, batch.output_mode == OutputMode::Complete);
        let (sender, receiver) = mpsc::channel(AHEAD);
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = match connection {
                Some(connection) => connection,
                None => writer.open()?,
            };
            let rows = writer.write(&mut connection, id, replaces, receiver)?;
            Ok::<_, SinkError>((connection, rows))
        });
        let sent = send(batch, sender).await;
        let (connection, rows) = task.await.map_err(std::io::Error::other)??;
        sent?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

async fn send(batch: SinkBatch, writer: mpsc::Sender<Message>) -> Result<(), SinkError> {
    let mut rows = batch.in_order();
    while let Some(batch) = rows.try_next().await? {
        // Where the thread has ended, it has the batch already, or an error to tell.
        let _ = writer.send(Message::Rows(batch)).await;
    }
    let _ = writer.send(Message::Commit).await;
    Ok(())
}

impl Writer {
    fn open(&self) -> Result<Connection, DatabaseError> {
        let connection = Connection::open(&self.path).map_err(self.failed("open the database"))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(self.failed("set its time limit"))?;
        let create = format!("{}; {}", self.table.create_batches(), self.table.create(type_name));
        connection.execute_batch(&create).map_err(self.failed("make the tables"))?;
        Ok(connection)
    }

    fn failed(&self, action: &str) -> impl Fn(rusqlite::Error) -> DatabaseError {
        let (path, action) = (self.path.clone(), action.to_owned());
        move |cause| DatabaseError::Sqlite { path: path.clone(), action: action.clone(), cause }
    }

    /// A transaction that is dropped is rolled back.
    fn write(
        &self,
        connection: &mut Connection,
        batch_id: u64,
        replaces: bool,
        mut rows: mpsc::Receiver<Message>,
    ) -> Result<u64, SinkError> {
        let batch_id = i64::try_from(batch_id).unwrap_or(i64::MAX);
        let immediate = rusqlite::TransactionBehavior::Immediate;
        let transaction =
            connection.transaction_with_behavior(immediate).map_err(self.failed("begin a transaction"))?;
        let batches = self.table.batches();
        let select = format!("SELECT batch_id FROM {batches} WHERE query_id = ?1");
        let noted: Option<i64> = transaction
            .query_row(&select, params![self.query_id], |row| row.get(0))
            .optional()
            .map_err(self.failed("read which batches it has"))?;
        if noted.is_some_and(|noted| batch_id <= noted) {
            tracing::info!("batch {batch_id} is in {} already", self.table.quoted());
            return Ok(0);
        }
        if replaces {
            let delete = format!("DELETE FROM {}", self.table.quoted());
            transaction.execute(&delete, []).map_err(self.failed("delete the rows of the batch before"))?;
        }
        let mut statement = transaction.prepare(&self.insert()).map_err(self.failed("insert"))?;
        let mut count = 0;
        loop {
            match rows.blocking_recv() {
                Some(Message::Rows(batch)) => count += self.insert_rows(&mut statement, &batch)?,
                Some(Message::Commit) => break,
                // The rows ended in an error, which is told by whoever has it.
                None => return Ok(0),
            }
        }
        drop(statement);
        crash_point::pass();
        let note = format!("INSERT OR REPLACE INTO {batches} (query_id, batch_id) VALUES (?1, ?2)");
        transaction
            .execute(&note, params![self.query_id, batch_id])
            .map_err(self.failed("note the batch"))?;
        crash_point::pass();
        transaction.commit().map_err(self.failed("commit"))?;
        crash_point::pass();
        Ok(count)
    }

    fn insert(&self) -> String {
        let places = vec!["?"; self.table.columns.fields().len()].join(", ");
        let (table, columns) = (self.table.quoted(), self.table.column_list());
        format!("INSERT INTO {table} ({columns}) VALUES ({places}){}", self.table.on_conflict())
    }

    fn insert_rows(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        batch: &RecordBatch,
    ) -> Result<u64, SinkError> {
        let batch = spark_layout::cast(batch, &self.table.columns)?;
        for row in 0..batch.num_rows() {
            for (index, column) in batch.columns().iter().enumerate() {
                let value = self.value(column.as_ref(), row)?;
                statement.raw_bind_parameter(index + 1, value).map_err(self.failed("take a value"))?;
            }
            statement.raw_execute().map_err(self.failed("insert a row"))?;
        }
        Ok(batch.num_rows() as u64)
    }

    fn value<'a>(&self, column: &'a dyn Array, row: usize) -> Result<ToSqlOutput<'a>, ArrowError> {
        if column.is_null(row) || *column.data_type() == DataType::Null {
            return Ok(ToSqlOutput::Borrowed(ValueRef::Null));
        }
        Ok(match column.data_type() {
            DataType::Utf8 => {
                ToSqlOutput::Borrowed(ValueRef::Text(column.as_string::<i32>().value(row).as_bytes()))
            }
            DataType::Binary => ToSqlOutput::Borrowed(ValueRef::Blob(column.as_binary::<i32>().value(row))),
            DataType::Int64 => {
                ToSqlOutput::Owned(Value::Integer(column.as_primitive::<Int64Type>().value(row)))
            }
            DataType::Float64 => {
                ToSqlOutput::Owned(Value::Real(column.as_primitive::<Float64Type>().value(row)))
            }
            DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 => {
                let wide = cast(&column.slice(row, 1), &DataType::Int64)?;
                ToSqlOutput::Owned(Value::Integer(wide.as_primitive::<Int64Type>().value(0)))
            }
            DataType::Float32 => {
                let wide = cast(&column.slice(row, 1), &DataType::Float64)?;
                ToSqlOutput::Owned(Value::Real(wide.as_primitive::<Float64Type>().value(0)))
            }
            _ => {
                let mut text = String::new();
                self.text.write(&mut text, column, row, "Z")?;
                ToSqlOutput::Owned(Value::Text(text))
            }
        })
    }
}

fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        integer if integer.is_integer() => "INTEGER",
        DataType::Boolean => "INTEGER",
        DataType::Float32 | DataType::Float64 => "REAL",
        DataType::Binary => "BLOB",
        _ => "TEXT",
    };
    name.to_owned()
}
