//! One row a line, as `to_json` writes it: for scripts.

use std::io::Write;

use async_trait::async_trait;
use datafusion::arrow::array::timezone::Tz;
use futures::TryStreamExt;

use super::{Sink, SinkBatch, SinkError};
use crate::format::json::JsonFormat;
use crate::output_mode::OutputMode;

/// Lines are handed on in pieces of about so many bytes.
const FLUSH_BYTES: usize = 64 << 10;

pub struct JsonLinesSink<W> {
    out: W,
    format: JsonFormat,
}

impl<W: Write + Send> JsonLinesSink<W> {
    pub fn new(out: W, time_zone: Tz) -> JsonLinesSink<W> {
        JsonLinesSink { out, format: JsonFormat::new(time_zone) }
    }
}

#[async_trait]
impl<W: Write + Send> Sink for JsonLinesSink<W> {
    fn description(&self) -> String {
        "json lines".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let names = batch.names();
        let mut rows = batch.in_order();
        let mut lines = String::new();
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows() as u64;
            for row in 0..batch.num_rows() {
                let names = names.iter().map(String::as_str);
                self.format.write_row(&mut lines, names, batch.columns(), row)?;
                lines.push('\n');
                if lines.len() >= FLUSH_BYTES {
                    self.out.write_all(lines.as_bytes())?;
                    lines.clear();
                }
            }
        }
        self.out.write_all(lines.as_bytes())?;
        self.out.flush()?;
        Ok(count)
    }
}
