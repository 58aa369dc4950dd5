//! The rows of the files of one batch.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, FieldRef, Fields, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream;

use super::error::FileSourceError;
use super::format::{self, FileColumns, FileFormat, Rows};
use super::partitions::PartitionValue;
use crate::malformed_records::MalformedRecords;
use crate::source::BatchRead;

/// A file as the log has it.
#[derive(Clone, Debug)]
pub(super) struct BatchFile {
    pub(super) path: PathBuf,
    pub(super) batch_id: i64,
    pub(super) partitions: Vec<PartitionValue>,
}

#[derive(Clone, Debug)]
pub(super) struct FileBatch {
    pub(super) schema: SchemaRef,
    pub(super) format: FileFormat,
    pub(super) ignore_missing: bool,
    /// Those that folders name; null in a file that lies in none.
    pub(super) partition_columns: Vec<String>,
    pub(super) files: Vec<BatchFile>,
    /// Whether the query is told of records that do not fit.
    pub(super) tells_of_malformed: bool,
}

#[async_trait]
impl BatchRead for FileBatch {
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: &[usize],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(self.schema.project(projection)?);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let files_each = self.files.len().div_ceil(cores);
        let partition = |files: &[BatchFile]| -> Arc<dyn PartitionStream> {
            let batch = FileBatch { files: files.to_vec(), ..self.clone() };
            Arc::new(FilesOfPartition { batch, schema: schema.clone() })
        };
        let partitions = self.files.chunks(files_each).map(partition).collect();
        Ok(Some(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?)))
    }
}

#[derive(Debug)]
struct FilesOfPartition {
    batch: FileBatch,
    /// The columns that are wanted.
    schema: SchemaRef,
}

impl PartitionStream for FilesOfPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let malformed = context.session_config().get_extension().filter(|_| self.batch.tells_of_malformed);
        let rows = FileRows {
            files: self.batch.files.clone().into(),
            batch: FileBatch { files: Vec::new(), ..self.batch.clone() },
            schema: self.schema.clone(),
            malformed: malformed.unwrap_or_default(),
            open: None,
        };
        let rows = rows.map(|rows| rows.map_err(|error| DataFusionError::External(Box::new(error))));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(rows)))
    }
}

/// One file after the other.
struct FileRows {
    files: VecDeque<BatchFile>,
    batch: FileBatch,
    schema: SchemaRef,
    malformed: Arc<MalformedRecords>,
    open: Option<OpenFile>,
}

struct OpenFile {
    rows: Rows,
    file: BatchFile,
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch, FileSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(open) = &mut self.open {
                match open.rows.next() {
                    Some(Ok(rows)) if rows.num_rows() == 0 => continue,
                    Some(rows) => return Some(rows.and_then(|rows| self.with_partitions(&rows))),
                    None => self.open = None,
                }
            }
            let file = self.files.pop_front()?;
            match self.open_file(file) {
                Ok(open) => self.open = open,
                Err(error) => {
                    self.files.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl FileRows {
    fn open_file(&self, file: BatchFile) -> Result<Option<OpenFile>, FileSourceError> {
        let data = |fields: &Fields| -> Fields {
            fields.iter().filter(|field| !self.is_partition(&file, field)).cloned().collect()
        };
        let columns = FileColumns {
            wanted: data(self.schema.fields()),
            all: data(self.batch.schema.fields()),
            malformed: self.malformed.clone(),
        };
        match self.batch.format.open(&file.path, &columns) {
            Ok(rows) => Ok(Some(OpenFile { rows: rows?, file })),
            Err(error) if self.batch.ignore_missing && error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!("{} is not there any more; ignoreMissingFiles is true", file.path.display());
                Ok(None)
            }
            Err(source) => Err(FileSourceError::Missing { path: file.path, batch_id: file.batch_id, source }),
        }
    }

    fn is_partition(&self, file: &BatchFile, field: &Field) -> bool {
        let is = |column: &str| column.eq_ignore_ascii_case(field.name());
        self.batch.partition_columns.iter().any(|column| is(column))
            || file.partitions.iter().any(|value| is(&value.column))
    }

    /// Puts the columns that the file's folders name between those of the file.
    fn with_partitions(&self, rows: &RecordBatch) -> Result<RecordBatch, FileSourceError> {
        let Some(OpenFile { file, .. }) = &self.open else {
            return Ok(rows.clone());
        };
        let mut of_file = rows.columns().iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            if self.is_partition(file, field) {
                columns.push(constant(file, field, rows.num_rows())?);
            } else {
                columns.extend(of_file.next().cloned());
            }
        }
        format::batch(self.schema.fields(), columns, rows.num_rows(), &file.path)
    }
}

/// What the file's folders say of a column.
fn constant(file: &BatchFile, field: &FieldRef, rows: usize) -> Result<ArrayRef, FileSourceError> {
    let data_type = field.data_type();
    let value = file.partitions.iter().find(|value| value.column.eq_ignore_ascii_case(field.name()));
    let value = value.and_then(|value| value.value.clone());
    let scalar = match &value {
        None => ScalarValue::try_from(data_type),
        Some(text) => ScalarValue::try_from_string(text.clone(), data_type),
    };
    scalar.and_then(|scalar| scalar.to_array_of_size(rows)).map_err(|_| FileSourceError::PartitionValue {
        path: file.path.clone(),
        column: field.name().clone(),
        value: value.unwrap_or_default(),
        data_type: data_type.to_string(),
    })
}
