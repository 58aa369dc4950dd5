//! Spark's console sink: each batch as a table under its number.

use std::io::Write;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::error::ArrowError;
use futures::TryStreamExt;

use super::table::{TableLimits, show_string};
use super::{Sink, SinkBatch, SinkError};
use crate::format::text::{Style, TextFormat};
use crate::options::{Options, OptionsError};
use crate::output_mode::OutputMode;

pub struct ConsoleSink<W> {
    out: W,
    limits: TableLimits,
    format: TextFormat,
}

impl<W: Write + Send> ConsoleSink<W> {
    pub fn new(out: W, limits: TableLimits, time_zone: Tz) -> ConsoleSink<W> {
        ConsoleSink { out, limits, format: TextFormat { style: Style::Table, time_zone } }
    }

    fn cells(&self, batch: &RecordBatch, row: usize) -> Result<Vec<String>, ArrowError> {
        let cell = |column| {
            let mut text = String::new();
            self.format.write(&mut text, column, row).map(|()| text)
        };
        batch.columns().iter().map(|column| cell(column.as_ref())).collect()
    }
}

/// `numRows` and `truncate`: true, false, or how many characters a cell may have.
pub(super) fn limits(options: &Options) -> Result<TableLimits, OptionsError> {
    let rows = match options.get("numRows") {
        None => TableLimits::default().rows,
        Some(value) => {
            let not_count =
                OptionsError::NotCount { key: "numRows".to_owned(), value: value.to_owned(), min: 0 };
            usize::try_from(value.trim().parse::<i32>().map_err(|_| not_count)?).unwrap_or(0)
        }
    };
    let cell_chars = options.boolean("truncate", true)?.then_some(20);
    Ok(TableLimits { rows, cell_chars })
}

#[async_trait]
impl<W: Write + Send> Sink for ConsoleSink<W> {
    fn description(&self) -> String {
        "org.apache.spark.sql.execution.streaming.ConsoleTable$".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let (batch_id, names) = (batch.id, batch.names());
        let mut rows = batch.in_order();
        // One row more than is shown tells that there are more.
        let wanted = self.limits.rows.saturating_add(1);
        let mut shown = Vec::new();
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows() as u64;
            for row in 0..batch.num_rows().min(wanted.saturating_sub(shown.len())) {
                shown.push(self.cells(&batch, row)?);
            }
        }
        let rule = "-------------------------------------------";
        let table = show_string(&names, shown, self.limits);
        // In one piece, so that a kill leaves a whole table or none.
        self.out.write_all(format!("{rule}\nBatch: {batch_id}\n{rule}\n{table}\n").as_bytes())?;
        self.out.flush()?;
        Ok(count)
    }
}
