//! Files of CSV: a record for each line, its values by their places. Spark's `CSVFileFormat`.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::csv_inference::InferredType;
use super::csv_record::{CsvDialect, CsvRecord};
use super::error::FileSourceError;
use super::format::{self, FileColumns, MAX_BYTES, MAX_ROWS, Mode, RecordOptions, Rows};
use super::lines::{self, Lines};
use super::text_columns::TextColumn;
use crate::malformed_records::MalformedRecords;
use crate::options::Options;

/// How files of CSV are read.
#[derive(Clone, Debug)]
pub(super) struct CsvFiles {
    dialect: CsvDialect,
    records: RecordOptions,
    has_header: bool,
    comment: Option<char>,
    null_value: String,
    empty_value: String,
    /// Of the session.
    time_zone: String,
}

impl CsvFiles {
    pub(super) fn new(options: &Options, time_zone: &str) -> Result<CsvFiles, FileSourceError> {
        if !options.boolean("enforceSchema", true)? {
            let reason = "columns are found by their places alone";
            return Err(FileSourceError::NotServed { key: "enforceSchema", format: "csv", reason });
        }
        let records = RecordOptions::new("csv", options, time_zone)?;
        let separator = match options.get("sep").or(options.get("delimiter")) {
            Some("\\t") => "\t".to_owned(),
            Some("") | None => ",".to_owned(),
            Some(other) => other.to_owned(),
        };
        let character = |key, default| options.character(key).map(|given| given.unwrap_or(default));
        Ok(CsvFiles {
            dialect: CsvDialect {
                separator,
                quote: character("quote", Some('"'))?,
                escape: character("escape", Some('\\'))?,
                trims_start: options.boolean("ignoreLeadingWhiteSpace", false)?,
                trims_end: options.boolean("ignoreTrailingWhiteSpace", false)?,
                multi_line: records.multi_line,
            },
            records,
            has_header: options.boolean("header", false)?,
            comment: character("comment", None)?,
            null_value: options.get("nullValue").unwrap_or_default().to_owned(),
            empty_value: options.get("emptyValue").unwrap_or_default().to_owned(),
            time_zone: time_zone.to_owned(),
        })
    }

    pub(super) fn check(&self, data: &Fields) -> Result<(), FileSourceError> {
        for field in data {
            let is_corrupt_record = self.records.is_corrupt_record(field.name());
            if TextColumn::new(field.data_type()).is_none()
                || is_corrupt_record && *field.data_type() != DataType::Utf8
            {
                return Err(FileSourceError::Type {
                    format: "csv",
                    column: field.name().clone(),
                    data_type: field.data_type().to_string(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn open(
        self: &Arc<CsvFiles>,
        reader: Box<dyn BufRead + Send>,
        path: &Path,
        columns: &FileColumns,
    ) -> Result<Rows, FileSourceError> {
        Ok(Box::new(self.rows(reader, path, columns)?))
    }

    fn rows(
        self: &Arc<CsvFiles>,
        reader: Box<dyn BufRead + Send>,
        path: &Path,
        columns: &FileColumns,
    ) -> Result<CsvRows, FileSourceError> {
        let texts = if self.records.multi_line {
            Texts::Whole { text: lines::read_whole(reader, path)?, at: 0 }
        } else {
            Texts::Lines(Lines::new(reader, path, self.records.separator.clone()))
        };
        let is_data = |name: &str| !self.records.is_corrupt_record(name);
        let data: Vec<_> = columns.all.iter().filter(|field| is_data(field.name())).collect();
        let place = |name: &String| data.iter().position(|field| field.name() == name);
        Ok(CsvRows {
            csv: self.clone(),
            texts,
            path: path.to_owned(),
            places: columns.wanted.iter().map(|field| place(field.name())).collect(),
            wanted: columns.wanted.clone(),
            malformed: columns.malformed.clone(),
            width: data.len(),
            record: CsvRecord::default(),
            header_is_due: self.has_header,
        })
    }

    /// The columns of the files: their names from the header, their types from the values if these are wanted.
    pub(super) fn infer<'a>(
        self: &Arc<CsvFiles>,
        paths: impl Iterator<Item = &'a Path> + Clone,
        infers_types: bool,
    ) -> Result<Fields, FileSourceError> {
        let mut names = None;
        for path in paths.clone() {
            names = self.names(path)?;
            if names.is_some() {
                break;
            }
        }
        let Some(names) = names else {
            return Ok(Fields::empty());
        };
        let texts = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Fields>();
        if !infers_types {
            return Ok(texts);
        }
        let mut types = vec![InferredType::Nothing; names.len()];
        for path in paths {
            let columns =
                FileColumns { wanted: texts.clone(), all: texts.clone(), malformed: Arc::default() };
            let reader = lines::open(path).map_err(FileSourceError::io("read", path))?;
            for rows in self.open(reader, path, &columns)? {
                for (column, found) in rows?.columns().iter().zip(&mut types) {
                    column
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .for_each(|text| found.add(text, self.records.times()));
                }
            }
        }
        let typed = names.iter().zip(types);
        Ok(typed.map(|(name, found)| Field::new(name, found.data_type(&self.time_zone), true)).collect())
    }

    /// Of the columns of a file: the header's, or `_c0` and so on. `None` if it has no record.
    fn names(self: &Arc<CsvFiles>, path: &Path) -> Result<Option<Vec<String>>, FileSourceError> {
        let columns =
            FileColumns { wanted: Fields::empty(), all: Fields::empty(), malformed: Arc::default() };
        let reader = lines::open(path).map_err(FileSourceError::io("read", path))?;
        let mut rows = self.rows(reader, path, &columns)?;
        rows.header_is_due = false;
        if rows.read()?.is_none() {
            return Ok(None);
        }
        let first: Vec<_> = (0..rows.record.len())
            .map(|place| rows.record.get(place).and_then(|value| self.text(value)).unwrap_or_default())
            .collect();
        let is_repeated =
            |name: &str| first.iter().filter(|other| other.eq_ignore_ascii_case(name)).count() > 1;
        let name = |(place, text): (usize, &&str)| match *text {
            name if !self.has_header || name.is_empty() => format!("_c{place}"),
            name if is_repeated(name) => format!("{name}{place}"),
            name => name.to_owned(),
        };
        Ok(Some(first.iter().enumerate().map(name).collect()))
    }

    fn is_skipped(&self, line: &str) -> bool {
        line.trim().is_empty() || self.comment.is_some_and(|comment| line.starts_with(comment))
    }

    /// The text of a value, if it is not null.
    fn text<'a>(&'a self, (text, is_quoted): (&'a str, bool)) -> Option<&'a str> {
        let text = match (text.is_empty(), is_quoted) {
            (true, true) => self.empty_value.as_str(),
            (true, false) => return None,
            (false, _) => text,
        };
        (text != self.null_value).then_some(text)
    }
}

/// Where the records come from.
enum Texts {
    Lines(Lines),
    Whole { text: String, at: usize },
}

struct CsvRows {
    csv: Arc<CsvFiles>,
    texts: Texts,
    path: PathBuf,
    wanted: Fields,
    malformed: Arc<MalformedRecords>,
    /// Of each wanted column in a record; `None` for that of records that do not fit.
    places: Vec<Option<usize>>,
    /// How many values a record should have.
    width: usize,
    record: CsvRecord,
    header_is_due: bool,
}

/// The columns of a batch that grows.
struct Growing {
    columns: Vec<TextColumn>,
    /// The text of each row whose record does not fit.
    corrupt: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl CsvRows {
    /// Reads the next record, and gives its text; `None` at the end.
    fn read(&mut self) -> Result<Option<String>, FileSourceError> {
        loop {
            let line = match &mut self.texts {
                Texts::Lines(lines) => match lines.next()? {
                    Some(line) if self.csv.is_skipped(&line) => continue,
                    Some(line) => {
                        self.csv.dialect.parse(&line, &mut self.record);
                        line
                    }
                    None => return Ok(None),
                },
                Texts::Whole { text, at } => {
                    let rest = text.get(*at..).unwrap_or_default();
                    if rest.is_empty() {
                        return Ok(None);
                    }
                    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
                    if self.csv.is_skipped(line) {
                        *at += (line.len() + 1).min(rest.len());
                        continue;
                    }
                    let taken = self.csv.dialect.parse(rest, &mut self.record);
                    *at += taken;
                    rest.get(..taken).unwrap_or_default().trim_end_matches(['\n', '\r']).to_owned()
                }
            };
            if !std::mem::take(&mut self.header_is_due) {
                return Ok(Some(line));
            }
        }
    }

    /// Adds the record that was read.
    fn push(&self, text: &str, growing: &mut Growing) -> Result<(), FileSourceError> {
        let mode = self.csv.records.mode;
        let is_fitting = self.record.len() == self.width;
        if mode != Mode::Permissive && !(is_fitting && self.fits()) {
            return match mode {
                Mode::FailFast => {
                    Err(FileSourceError::Malformed { path: self.path.clone(), record: text.to_owned() })
                }
                _ => {
                    self.malformed.add(text);
                    Ok(())
                }
            };
        }
        let mut fits = is_fitting;
        for (place, column) in self.places.iter().zip(&mut growing.columns) {
            if let Some(place) = place {
                let value = self.record.get(*place).and_then(|value| self.csv.text(value));
                fits &= column.push(value, self.csv.records.times());
            }
        }
        if !fits {
            self.malformed.add(text);
        }
        growing.corrupt.append_option((!fits).then_some(text));
        growing.rows += 1;
        growing.bytes += text.len();
        Ok(())
    }

    /// Whether each value fits its column.
    fn fits(&self) -> bool {
        let columns = self.places.iter().zip(&self.wanted);
        columns.filter_map(|(place, field)| Some(((*place)?, field))).all(|(place, field)| {
            let value = self.record.get(place).and_then(|value| self.csv.text(value));
            TextColumn::new(field.data_type())
                .is_some_and(|mut column| column.push(value, self.csv.records.times()))
        })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, FileSourceError> {
        let columns = self.wanted.iter().filter_map(|field| TextColumn::new(field.data_type())).collect();
        let mut growing = Growing { columns, corrupt: StringBuilder::new(), rows: 0, bytes: 0 };
        while growing.rows < MAX_ROWS && growing.bytes < MAX_BYTES {
            let Some(text) = self.read()? else {
                break;
            };
            self.push(&text, &mut growing)?;
        }
        if growing.rows == 0 {
            return Ok(None);
        }
        let corrupt = Arc::new(growing.corrupt.finish());
        let columns = self.places.iter().zip(&mut growing.columns).map(|(place, column)| match place {
            Some(_) => column.finish(),
            None => corrupt.clone(),
        });
        format::batch(&self.wanted, columns.collect(), growing.rows, &self.path).map(Some)
    }
}

impl Iterator for CsvRows {
    type Item = Result<RecordBatch, FileSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
