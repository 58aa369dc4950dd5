//! Rows of state as text, for people and for scripts.

use bytes::Bytes;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::error::ArrowError;
use serde_json::Value;

use super::inspect::{RowDecoder, StoreFolder};
use super::{StateColumn, StateError, StateReader};
use crate::format::json::JsonFormat;
use crate::format::text::{Style, TextFormat};

/// Makes text of rows: by their columns, or as hexadecimal digits where these are not known.
#[derive(Debug)]
pub struct RowPrinter {
    decoder: Option<RowDecoder>,
    names: Vec<String>,
    keys: usize,
    with_values: bool,
    labels: Value,
    text: TextFormat,
    json: JsonFormat,
}

impl RowPrinter {
    /// Without values it prints keys alone.
    pub fn new(store: &StoreFolder, reader: &StateReader, with_values: bool, time_zone: Tz) -> RowPrinter {
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
        let text = TextFormat { style: Style::Table, time_zone };
        let (labels, json) = (store.labels(reader.version()), JsonFormat::new(time_zone).with_nulls(true));
        RowPrinter { decoder, names, keys, with_values, labels, text, json }
    }

    /// The header of a table of [`RowPrinter::cells`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn cells(&self, rows: &[(Bytes, Bytes)]) -> Result<Vec<Vec<String>>, StateError> {
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

    /// A JSON object for each row: `{"operator":0,…,"key":{…},"value":{…}}`.
    pub fn json(&self, rows: &[(Bytes, Bytes)]) -> Result<Vec<String>, StateError> {
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
