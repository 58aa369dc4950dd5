//! `ottla-stream state`: shows what a checkpoint's operators remember.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::error::ArrowError;
use ottla_stream::conf::Conf;
use ottla_stream::format::json::JsonFormat;
use ottla_stream::format::text::{Style, TextFormat};
use ottla_stream::sink::table::{TableLimits, show_string};
use ottla_stream::state::inspect::{self, RowDecoder, StoreFolder};
use ottla_stream::state::{StateColumn, StateError, StateReader};
use serde_json::{Value, json};
use thiserror::Error;

/// Rows that are decoded at a time.
const ROWS: usize = 1_024;

#[derive(Debug, Args)]
pub(crate) struct StateCommand {
    /// The folder that a query was run with as its --checkpoint.
    checkpoint: PathBuf,
    /// Only this operator; 0 is the one nearest to the result.
    #[arg(long, value_name = "N")]
    operator: Option<usize>,
    /// Only this version; batch N leaves version N+1 behind. Rows are those of the newest by default.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Print the keys that are remembered.
    #[arg(long, conflicts_with = "rows")]
    keys: bool,
    /// Print the keys with their values; those of an aggregation are the states of its aggregates.
    #[arg(long)]
    rows: bool,
    /// At most so many rows of each store: 20 in a table, all as JSON if it is not given.
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// How it is printed.
    #[arg(long, default_value = "console")]
    format: StateFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateFormat {
    /// Tables.
    Console,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Error)]
pub(crate) enum StateCommandError {
    #[error(
        "{checkpoint} has no state{of}; give the folder that a query with aggregations, joins or dropDuplicates was \
         run with as its --checkpoint",
        checkpoint = checkpoint.display(),
        of = operator.map(|operator| format!(" of operator {operator}")).unwrap_or_default()
    )]
    None { checkpoint: PathBuf, operator: Option<usize> },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the rows cannot be shown: {0}")]
    Format(#[from] ArrowError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl StateCommand {
    pub(crate) fn run(&self) -> Result<(), StateCommandError> {
        let mut stores = inspect::stores(&self.checkpoint)?;
        stores.retain(|store| self.operator.is_none_or(|operator| operator == store.operator));
        if stores.is_empty() {
            let (checkpoint, operator) = (self.checkpoint.clone(), self.operator);
            return Err(StateCommandError::None { checkpoint, operator });
        }
        let mut out = io::stdout().lock();
        for store in &stores {
            let versions = self.versions(&store.folder)?;
            if self.keys || self.rows {
                let Some(newest) = versions.last() else { continue };
                self.print_rows(&mut out, store, &StateReader::open(&store.folder, *newest)?)?;
            } else {
                self.print_versions(&mut out, store, &versions)?;
            }
        }
        Ok(out.flush()?)
    }

    fn versions(&self, folder: &Path) -> Result<Vec<u64>, StateError> {
        match self.version {
            Some(version) => Ok(vec![version]),
            None => StateReader::versions(folder),
        }
    }

    fn print_versions(
        &self,
        out: &mut impl Write,
        store: &StoreFolder,
        versions: &[u64],
    ) -> Result<(), StateCommandError> {
        let mut lines = Vec::new();
        let mut described = None;
        for version in versions {
            let reader = StateReader::open(&store.folder, *version)?;
            let files = reader.files();
            let bytes: u64 = files.iter().map(|file| file.bytes).sum();
            if self.format == StateFormat::Json {
                let mut line = labels(store, *version);
                let files: Vec<_> =
                    files.iter().map(|file| json!({"name": file.name, "bytes": file.bytes})).collect();
                let description = reader.description();
                line["rows"] = json!(reader.len());
                line["bytes"] = json!(bytes);
                line["files"] = json!(files);
                line["keys"] = json!(description.keys);
                line["values"] = json!(description.values);
                writeln!(out, "{line}")?;
                continue;
            }
            let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
            let cells = [version.to_string(), reader.len().to_string(), bytes.to_string(), names.join(" ")];
            lines.push(cells.to_vec());
            described = Some(reader.description().to_string());
        }
        if let Some(description) = described {
            let header = ["version", "rows", "bytes", "files"].map(str::to_owned);
            let table = show_string(&header, lines, TableLimits { rows: usize::MAX, cell_chars: None });
            writeln!(out, "{}: {description}\n{table}", title(store))?;
        }
        Ok(())
    }

    fn print_rows(
        &self,
        out: &mut impl Write,
        store: &StoreFolder,
        reader: &StateReader,
    ) -> Result<(), StateCommandError> {
        let printer = RowPrinter::new(store, reader, self.rows)?;
        let limit = match self.format {
            StateFormat::Console => self.limit.unwrap_or(TableLimits::default().rows),
            StateFormat::Json => self.limit.unwrap_or(usize::MAX),
        };
        let mut rows = reader.rows()?;
        let mut table = Vec::new();
        let mut printed = 0;
        // One more than is shown tells that there are more.
        while printed <= limit {
            let piece: Vec<_> = rows.by_ref().take(ROWS).collect::<Result<_, _>>()?;
            if piece.is_empty() {
                break;
            }
            match self.format {
                StateFormat::Console => table.extend(printer.cells(&piece)?),
                StateFormat::Json => {
                    let lines = printer.json(&piece)?;
                    for line in lines.iter().take(limit - printed) {
                        writeln!(out, "{line}")?;
                    }
                }
            }
            printed = printed.saturating_add(piece.len());
        }
        if self.format == StateFormat::Console {
            let limits = TableLimits { rows: limit, cell_chars: None };
            let table = show_string(&printer.names, table, limits);
            writeln!(out, "{}, version {}\n{table}", title(store), printer.version)?;
        }
        Ok(())
    }
}

fn title(store: &StoreFolder) -> String {
    let StoreFolder { operator, operator_name, store, .. } = store;
    let store = if store.is_empty() { String::new() } else { format!(", store {store}") };
    format!("operator {operator} {operator_name}{store}")
}

fn labels(store: &StoreFolder, version: u64) -> Value {
    json!({"operator": store.operator, "name": store.operator_name, "store": store.store, "version": version})
}

/// Makes text of rows: by their columns, or as hexadecimal digits where these are not known.
struct RowPrinter {
    decoder: Option<RowDecoder>,
    names: Vec<String>,
    keys: usize,
    with_values: bool,
    version: u64,
    labels: Value,
    text: TextFormat,
    json: JsonFormat,
}

impl RowPrinter {
    fn new(store: &StoreFolder, reader: &StateReader, with_values: bool) -> Result<RowPrinter, ArrowError> {
        let time_zone: Tz = Conf::default().session_time_zone().parse()?;
        let description = reader.description();
        let decoder = RowDecoder::new(&store.operator_name, description);
        let name = |column: &StateColumn| column.name.clone();
        let (mut names, mut values): (Vec<_>, Vec<_>) =
            (description.keys.iter().map(name).collect(), description.values.iter().map(name).collect());
        if decoder.is_none() {
            (names, values) = (vec!["key".to_owned()], vec!["value".to_owned()]);
        }
        let keys = names.len();
        if with_values {
            names.append(&mut values);
        }
        let version = reader.version();
        let text = TextFormat { style: Style::Table, time_zone };
        let (labels, json) = (labels(store, version), JsonFormat::new(time_zone).with_nulls(true));
        Ok(RowPrinter { decoder, names, keys, with_values, version, labels, text, json })
    }

    fn cells(&self, rows: &[(Bytes, Bytes)]) -> Result<Vec<Vec<String>>, StateCommandError> {
        let Some(decoder) = &self.decoder else {
            let cells = |(key, value): &(Bytes, Bytes)| match self.with_values {
                true => vec![hex(key), hex(value)],
                false => vec![hex(key)],
            };
            return Ok(rows.iter().map(cells).collect());
        };
        let (columns, count) = decoder.decode(rows)?;
        let cell = |column: &ArrayRef, row| {
            let mut text = String::new();
            self.text.write(&mut text, column.as_ref(), row).map(|()| text)
        };
        let columns = columns.get(..self.names.len()).unwrap_or(&columns);
        let cells = (0..count).map(|row| columns.iter().map(|column| cell(column, row)).collect());
        Ok(cells.collect::<Result<_, ArrowError>>()?)
    }

    fn json(&self, rows: &[(Bytes, Bytes)]) -> Result<Vec<String>, StateCommandError> {
        let labels = self.labels.to_string();
        let labels = labels.strip_suffix('}').unwrap_or_default();
        let mut lines = Vec::with_capacity(rows.len());
        let Some(decoder) = &self.decoder else {
            for (key, value) in rows {
                let value = if self.with_values {
                    format!(r#","value":{{"hex":"{}"}}"#, hex(value))
                } else {
                    String::new()
                };
                lines.push(format!(r#"{labels},"key":{{"hex":"{}"}}{value}}}"#, hex(key)));
            }
            return Ok(lines);
        };
        let (columns, count) = decoder.decode(rows)?;
        let (keys, values) = columns.split_at_checked(self.keys).unwrap_or((&columns, &[]));
        let (key_names, value_names) = self.names.split_at_checked(self.keys).unwrap_or((&self.names, &[]));
        for row in 0..count {
            let mut line = format!(r#"{labels},"key":"#);
            self.json.write_row(&mut line, key_names.iter().map(String::as_str), keys, row)?;
            if self.with_values {
                line.push_str(r#","value":"#);
                self.json.write_row(&mut line, value_names.iter().map(String::as_str), values, row)?;
            }
            line.push('}');
            lines.push(line);
        }
        Ok(lines)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  ottla-stream state ./cp
  ottla-stream state ./cp --rows --limit 100
  ottla-stream state ./cp --operator 0 --version 12 --keys --format json";
