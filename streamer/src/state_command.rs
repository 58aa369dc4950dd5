//! `ottla-stream state`: shows what a checkpoint's operators remember.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::error::ArrowError;
use ottla_stream::conf::Conf;
use ottla_stream::sink::table::{TableLimits, show_string};
use ottla_stream::state::inspect::{self, StoreFolder};
use ottla_stream::state::row_text::RowPrinter;
use ottla_stream::state::{StateError, StateReader};
use serde_json::json;
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
                let mut line = store.labels(*version);
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
        let time_zone: Tz = Conf::default().session_time_zone().parse()?;
        let printer = RowPrinter::new(store, reader, self.rows, time_zone);
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
            let table = show_string(printer.names(), table, limits);
            writeln!(out, "{}, version {}\n{table}", title(store), reader.version())?;
        }
        Ok(())
    }
}

fn title(store: &StoreFolder) -> String {
    let StoreFolder { operator, operator_name, store, .. } = store;
    let store = if store.is_empty() { String::new() } else { format!(", store {store}") };
    format!("operator {operator} {operator_name}{store}")
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  ottla-stream state ./cp
  ottla-stream state ./cp --rows --limit 100
  ottla-stream state ./cp --operator 0 --version 12 --keys --format json";
