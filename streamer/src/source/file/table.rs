//! Files as a table that is no stream: each batch reads those that are there then. Spark's `DataFrameReader`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::batch::{BatchFile, FileBatch};
use super::{FileDefinition, FileSourceError, inference, listing};
use crate::source::formats::Declared;
use crate::source::{BatchRead, SourceError};

/// Of a file that no batch of a stream has.
const NO_BATCH: i64 = -1;

#[derive(Debug)]
pub(in crate::source) struct FileTable {
    definition: FileDefinition,
}

impl FileTable {
    /// Columns that are not declared are looked for in the files now.
    pub(in crate::source) fn new(
        format: &'static str,
        declared: &Declared<'_>,
    ) -> std::result::Result<FileTable, SourceError> {
        let infers_types = declared.options.boolean("inferSchema", false)?;
        let definition = FileDefinition::with_schema(format, declared, |file_format, files| {
            inference::columns(file_format, files, infers_types, declared.time_zone)
        })?;
        Ok(FileTable { definition })
    }

    fn batch(&self) -> std::result::Result<FileBatch, FileSourceError> {
        let files = listing::list(&self.definition.options)?.into_iter();
        let files =
            files.map(|file| BatchFile { path: file.path, batch_id: NO_BATCH, partitions: file.partitions });
        Ok(FileBatch {
            schema: self.definition.schema.clone(),
            format: self.definition.format.clone(),
            partition_columns: self.definition.partition_columns.clone(),
            ignore_missing: self.definition.options.ignore_missing,
            files: files.collect(),
            tells_of_malformed: false,
        })
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.definition.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let batch = self.batch().map_err(|error| DataFusionError::External(Box::new(error)))?;
        match batch.scan(session, projection).await? {
            Some(rows) => Ok(rows),
            None => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema().project(projection)?)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::options::Options;
    use crate::schema::sql_type;

    fn columns(format: &'static str, path: &Path, options: &[(&str, &str)]) -> String {
        let path = path.to_string_lossy().into_owned();
        let options = Options::from_iter(options.iter().copied().chain([("path", path.as_str())]));
        let declared =
            Declared { options: &options, schema: None, time_zone: "UTC", is_written_by_job: false };
        match FileTable::new(format, &declared) {
            Ok(table) => {
                let fields = table.schema().fields().clone();
                let columns =
                    fields.iter().map(|field| format!("{}:{}", field.name(), sql_type(field.data_type())));
                columns.collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        }
    }

    /// Each as PySpark 4.1.1 has inferred it.
    #[test]
    fn columns_are_inferred_as_spark_infers_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let csv = write(
            "a.csv",
            "a,b,B,,d,t,x,m,e,big,neg,f,dt2,nan,q\n\
             1,1,x,,2026-01-01,2026-01-01 10:00:00,true,1,,99999999999999999999,-5,1.5,2026-01-01,NaN,\"1\"\n\
             2,3000000000,y,2,2026-01-02,2026-01-02T10:00:00Z,false,x,,1,+7,1e3,2026-01-02 00:00:00,1,\"2\"\n",
        );
        assert_eq!(
            columns("csv", &csv, &[("header", "true"), ("inferSchema", "true")]),
            "a:INT, b1:BIGINT, B2:STRING, _c3:INT, d:DATE, t:TIMESTAMP, x:BOOLEAN, m:STRING, e:STRING, \
             big:DECIMAL(20,0), neg:INT, f:DOUBLE, dt2:TIMESTAMP, nan:DOUBLE, q:INT"
        );
        assert!(columns("csv", &csv, &[]).starts_with("_c0:STRING, _c1:STRING, _c2:STRING"));
        let json = write(
            "a.json",
            "{\"b\":1,\"a\":\"x\",\"c\":{\"z\":1,\"y\":[1,2.5]}}\n[{\"a\":\"y\",\"d\":true},{\"b\":99999999999}]\n\
             {\"e\":null}\nnope\n{\"t\":\"2026-01-01T00:00:00Z\"}\n",
        );
        assert_eq!(
            columns("json", &json, &[]),
            "_corrupt_record:STRING, a:STRING, b:BIGINT, c:STRUCT<y: ARRAY<DOUBLE>, z: BIGINT>, d:BOOLEAN, e:STRING, \
             t:STRING"
        );
        assert!(columns("json", &json, &[("mode", "FAILFAST")]).contains("Malformed records are detected"));
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for (format, name) in [("csv", "CSV"), ("json", "JSON"), ("parquet", "Parquet")] {
            let message = format!(
                "[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for {name}. It must be specified manually. SQLSTATE: \
                 42KD9"
            );
            assert_eq!(columns(format, &empty, &[]), message);
        }
    }
}
