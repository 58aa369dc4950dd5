//! Files of JSON: a record for each line, or with `multiLine` one or an array of them for each file. Spark's
//! `JsonFileFormat`; records are read as `from_json` reads them.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StructArray};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, is_null};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::DataFusionError;

use super::error::FileSourceError;
use super::format::{self, FileColumns, MAX_BYTES, MAX_ROWS, Mode, RecordOptions, Rows};
use super::lines::{self, Lines};
use crate::functions::json::{JsonReader, RecordSchema, nullable};
use crate::malformed_records::MalformedRecords;
use crate::options::Options;

/// How files of JSON are read.
#[derive(Clone, Debug)]
pub(super) struct JsonFiles {
    records: RecordOptions,
}

impl JsonFiles {
    pub(super) fn new(options: &Options, time_zone: &str) -> Result<JsonFiles, FileSourceError> {
        Ok(JsonFiles { records: RecordOptions::new("json", options, time_zone)? })
    }

    pub(super) fn open(
        self: &Arc<JsonFiles>,
        reader: Box<dyn BufRead + Send>,
        path: &Path,
        columns: &FileColumns,
    ) -> Result<Rows, FileSourceError> {
        // The last column is that of records that do not fit, where the mode is about them.
        let mut fields: Vec<_> = columns.wanted.iter().map(|field| Field::clone(field)).collect();
        let has_corrupt = fields.iter().any(|field| self.records.is_corrupt_record(field.name()));
        if !has_corrupt && self.records.mode != Mode::Permissive {
            fields.push(Field::new(&self.records.corrupt_record, DataType::Utf8, true));
        }
        let rows = JsonRows {
            json: self.clone(),
            texts: None,
            path: path.to_owned(),
            wanted: columns.wanted.clone(),
            malformed: columns.malformed.clone(),
            record: nullable(&DataType::Struct(fields.into())),
        };
        if !self.records.multi_line {
            let texts = Some(Lines::new(reader, path, self.records.separator.clone()));
            return Ok(Box::new(JsonRows { texts, ..rows }));
        }
        let text = lines::read_whole(reader, path)?;
        let batch = rows.batch(&[text]);
        Ok(Box::new(std::iter::once(batch)))
    }

    /// The columns of the files' records, and one for records that are none.
    pub(super) fn infer<'a>(&self, paths: impl Iterator<Item = &'a Path>) -> Result<Fields, FileSourceError> {
        let mut schema = RecordSchema::new();
        let mut has_malformed = false;
        for path in paths {
            let reader = lines::open(path).map_err(FileSourceError::io("read", path))?;
            let mut add = |record: &str| {
                let fits = record.trim().is_empty() || schema.add(record, &self.records.json);
                has_malformed |= !fits;
                match (fits, self.records.mode) {
                    (false, Mode::FailFast) => {
                        Err(FileSourceError::Malformed { path: path.to_owned(), record: record.to_owned() })
                    }
                    _ => Ok(()),
                }
            };
            if self.records.multi_line {
                add(&lines::read_whole(reader, path)?)?;
                continue;
            }
            let mut lines = Lines::new(reader, path, self.records.separator.clone());
            while let Some(line) = lines.next()? {
                add(&line)?;
            }
        }
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        if has_malformed && self.records.mode == Mode::Permissive {
            fields.push(Arc::new(Field::new(&self.records.corrupt_record, DataType::Utf8, true)));
            fields.sort_by(|one, other| one.name().cmp(other.name()));
        }
        Ok(fields.into())
    }
}

struct JsonRows {
    json: Arc<JsonFiles>,
    texts: Option<Lines>,
    path: PathBuf,
    wanted: Fields,
    malformed: Arc<MalformedRecords>,
    /// The struct that a record is.
    record: DataType,
}

impl JsonRows {
    /// The rows of records, of which arrays have several.
    fn batch(&self, records: &[String]) -> Result<RecordBatch, FileSourceError> {
        let mut batches = Vec::new();
        let mut rest = records;
        while let Some(first) = rest.first() {
            let is_array = is_array(first);
            let count = rest.iter().take_while(|record| !is_array && !self::is_array(record)).count().max(1);
            let (these, behind) = rest.split_at(count);
            let read = if is_array { self.array(first)? } else { None };
            batches.push(match read {
                Some(elements) => elements,
                None => self.structs(these)?,
            });
            rest = behind;
        }
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(self.fields().clone()));
        let all = concat_batches(&schema, &batches).map_err(|error| self.values(error))?;
        self.judged(all)
    }

    fn fields(&self) -> &Fields {
        match &self.record {
            DataType::Struct(fields) => fields,
            _ => &self.wanted,
        }
    }

    fn structs(&self, records: &[String]) -> Result<RecordBatch, FileSourceError> {
        let rows =
            self.read(&self.record, records.iter().map(String::as_str), |record| self.malformed.add(record))?;
        self.rows_of(rows.as_struct(), records.len())
    }

    /// `None` if it is no array of records.
    fn array(&self, record: &str) -> Result<Option<RecordBatch>, FileSourceError> {
        let list = DataType::List(Arc::new(Field::new("element", self.record.clone(), true)));
        // One that is no array is read as a record, and told of then.
        let rows = self.read(&list, [record].into_iter(), |_| {})?;
        let list = rows.as_list::<i32>();
        if list.is_empty() || list.is_null(0) {
            return Ok(None);
        }
        let elements = list.value(0);
        self.rows_of(elements.as_struct(), elements.len()).map(Some)
    }

    fn read<'a>(
        &self,
        data_type: &DataType,
        records: impl Iterator<Item = &'a str>,
        malformed: impl Fn(&str),
    ) -> Result<ArrayRef, FileSourceError> {
        let failed = |error: DataFusionError| FileSourceError::Reader {
            format: "json",
            reason: format!("{}: {}", self.path.display(), error.strip_backtrace()),
        };
        let mut reader = JsonReader::of_session(data_type, self.json.records.json.clone()).map_err(failed)?;
        for record in records {
            if !reader.push(Some(record)).map_err(failed)? {
                malformed(record);
            }
        }
        reader.finish().map_err(failed)
    }

    fn rows_of(&self, rows: &StructArray, count: usize) -> Result<RecordBatch, FileSourceError> {
        format::batch(self.fields(), rows.columns().to_vec(), count, &self.path)
    }

    /// Without the records that do not fit, where they are dropped, and without what is not wanted.
    fn judged(&self, rows: RecordBatch) -> Result<RecordBatch, FileSourceError> {
        let records = &self.json.records;
        let place = self.fields().iter().position(|field| records.is_corrupt_record(field.name()));
        let Some(place) = place.filter(|_| records.mode != Mode::Permissive) else {
            return Ok(rows);
        };
        let corrupt = rows.column(place);
        if records.mode == Mode::FailFast
            && let Some(row) = (0..corrupt.len()).find(|row| !corrupt.is_null(*row))
        {
            let record = corrupt.as_string::<i32>().value(row).to_owned();
            return Err(FileSourceError::Malformed { path: self.path.clone(), record });
        }
        let fitting: BooleanArray = is_null(corrupt).map_err(|error| self.values(error))?;
        let rows = filter_record_batch(&rows, &fitting).map_err(|error| self.values(error))?;
        let wanted: Vec<_> = (0..self.wanted.len()).collect();
        rows.project(&wanted).map_err(|error| self.values(error))
    }

    fn values(&self, source: datafusion::arrow::error::ArrowError) -> FileSourceError {
        FileSourceError::Values { path: self.path.clone(), source }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, FileSourceError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(lines) = &mut self.texts
            && records.len() < MAX_ROWS
            && bytes < MAX_BYTES
            && let Some(line) = lines.next()?
        {
            if !line.trim().is_empty() {
                bytes += line.len();
                records.push(line);
            }
        }
        if records.is_empty() { Ok(None) } else { self.batch(&records).map(Some) }
    }
}

impl Iterator for JsonRows {
    type Item = Result<RecordBatch, FileSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

fn is_array(record: &str) -> bool {
    record.trim_start().starts_with('[')
}
