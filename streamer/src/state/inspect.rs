//! The state of a checkpoint as its tools show it: which operators, which versions, which rows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::{RowFormat, StateColumn, StateDescription, StateError, StateReader};
use crate::checkpoint::log_file::LogFileError;
use crate::checkpoint::operator_metadata;

/// One store of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFolder {
    pub operator: usize,
    /// Spark's name of it; empty where the checkpoint does not tell.
    pub operator_name: String,
    /// Empty for an operator's only store.
    pub store: String,
    pub folder: PathBuf,
}

impl StoreFolder {
    /// What a line of JSON about the store begins with.
    pub fn labels(&self, version: u64) -> Value {
        json!({"operator": self.operator, "name": self.operator_name, "store": self.store, "version": version})
    }
}

/// The stores of a checkpoint, in the order of their operators.
pub fn stores(checkpoint: &Path) -> Result<Vec<StoreFolder>, StateError> {
    let state = checkpoint.join("state");
    let names = operator_metadata::read(&state)?;
    let mut stores = Vec::new();
    let mut operators: Vec<usize> = folders(&state)?.iter().filter_map(|name| name.parse().ok()).collect();
    operators.sort_unstable();
    for operator in operators {
        let name = names.get(operator).map(|name| name.operator_info.operator_name.clone());
        let folder = state.join(operator.to_string()).join("0");
        let mut names = folders(&folder)?;
        names.sort();
        names.insert(0, String::new());
        for store in names {
            let folder = if store.is_empty() { folder.clone() } else { folder.join(&store) };
            if !StateReader::versions(&folder)?.is_empty() {
                let operator_name = name.clone().unwrap_or_default();
                stores.push(StoreFolder { operator, operator_name, store, folder });
            }
        }
    }
    Ok(stores)
}

fn folders(folder: &Path) -> Result<Vec<String>, LogFileError> {
    let listed = |error| LogFileError::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(listed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(listed)?;
        if entry.file_type().map_err(listed)?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

/// Makes columns of the rows of an operator that keeps them as its description says.
#[derive(Debug)]
pub struct RowDecoder {
    keys: RowFormat,
    values: RowFormat,
    /// What a key begins with if it is one of a row.
    prefix: &'static [u8],
}

impl RowDecoder {
    /// `None` for an operator that arranges its entries in another way.
    pub fn new(operator_name: &str, description: &StateDescription) -> Option<RowDecoder> {
        let prefix: &[u8] = match operator_name {
            "stateStoreSave" => b"",
            // Its other entries only say when a session ends.
            "sessionWindowStateStoreSaveExec" => b"S",
            // Its other entries say when a key is forgotten, and how many there are.
            "dedupe" | "dedupeWithinWatermark" => b"K",
            _ => return None,
        };
        let (keys, values) = (format(&description.keys)?, format(&description.values)?);
        Some(RowDecoder { keys, values, prefix })
    }

    /// The columns of the keys, then those of the values, and how many rows there are.
    pub fn decode(&self, rows: &[(Bytes, Bytes)]) -> Result<(Vec<ArrayRef>, usize), StateError> {
        let rows: Vec<_> =
            rows.iter().filter_map(|(key, value)| Some((key.strip_prefix(self.prefix)?, value))).collect();
        let mut columns = self.keys.decode(rows.iter().map(|(key, _)| *key))?;
        columns.extend(self.values.decode(rows.iter().map(|(_, value)| value.as_ref()))?);
        Ok((columns, rows.len()))
    }
}

/// `None` if the types are not ones that have names to be read by.
fn format(columns: &[StateColumn]) -> Option<RowFormat> {
    let field = |(place, column): (usize, &StateColumn)| {
        let data_type: DataType = column.data_type.parse().ok()?;
        // What is read back must be what was written, not what came close.
        let same = data_type.to_string() == column.data_type;
        same.then(|| (place, Field::new(&column.name, data_type, true).into()))
    };
    RowFormat::new(columns.iter().enumerate().map(field).collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::{Int64Type, Schema, TimeUnit};

    use super::*;
    use crate::state::{StateMemory, StateStore};

    #[test]
    fn rows_are_decoded_by_what_the_manifest_says_of_them() {
        let checkpoint = tempfile::tempdir().unwrap();
        let folder = checkpoint.path().join("state").join("0").join("0");
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fields = [Field::new("at", time, true), Field::new("word", DataType::Utf8, true)];
        let keys = RowFormat::new(fields.iter().cloned().map(Arc::new).enumerate().collect()).unwrap();
        let values = RowFormat::new(vec![(0, Arc::new(Field::new("n", DataType::Int64, true)))]).unwrap();
        let description = StateDescription { keys: keys.describe(), values: values.describe() };
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields.to_vec())),
            vec![
                Arc::new(TimestampMicrosecondArray::from(vec![5, 6]).with_timezone("UTC")),
                Arc::new(StringArray::from(vec![Some("a"), None])),
            ],
        )
        .unwrap();
        let options = StateMemory::new(1 << 20);
        let mut store = StateStore::open(&folder, 0, &description, &options).unwrap();
        let ten =
            values.encode_columns(&[Arc::new(datafusion::arrow::array::Int64Array::from(vec![10]))]).unwrap();
        for key in keys.encode(&batch).unwrap().iter() {
            store.put(key, &ten).unwrap();
        }
        store.commit(1).unwrap();

        let stores = stores(checkpoint.path()).unwrap();
        assert_eq!(
            stores.iter().map(|store| (store.operator, &store.folder)).collect::<Vec<_>>(),
            [(0, &folder)]
        );
        let reader = StateReader::open(&folder, 1).unwrap();
        let rows: Vec<_> = reader.rows().unwrap().collect::<Result<_, _>>().unwrap();
        let decoder = RowDecoder::new("stateStoreSave", reader.description()).unwrap();
        let (columns, count) = decoder.decode(&rows).unwrap();
        assert_eq!((&columns[0], &columns[1], count), (batch.column(0), batch.column(1), 2));
        assert_eq!(columns[2].as_primitive::<Int64Type>().values(), &[10, 10]);
        assert!(RowDecoder::new("symmetricHashJoin", reader.description()).is_none());
    }
}
