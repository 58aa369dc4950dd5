//! Hive's folders `column=value` as columns. Spark's `PartitioningUtils`.

use datafusion::arrow::datatypes::{DataType, Field};

/// The folder of null.
const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column's value as a folder has it; `None` is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionValue {
    pub(super) column: String,
    pub(super) value: Option<String>,
}

/// Of folders between the source's path and a file.
pub(super) fn values<'a>(folders: impl Iterator<Item = &'a str>) -> Vec<PartitionValue> {
    let value = |folder: &str| {
        let (column, value) = folder.split_once('=').filter(|(column, _)| !column.is_empty())?;
        let value = (value != DEFAULT_PARTITION).then(|| unescape(value));
        Some(PartitionValue { column: unescape(column), value })
    };
    folders.filter_map(value).collect()
}

/// The columns that these folders make, with the narrowest type that takes all of a column's values.
pub(super) fn fields(all: &[Vec<PartitionValue>]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for value in all.iter().flatten() {
        let data_type = value.value.as_deref().map_or(DataType::Null, narrowest);
        match fields.iter_mut().find(|field| field.name().eq_ignore_ascii_case(&value.column)) {
            None => fields.push(Field::new(&value.column, data_type, true)),
            Some(field) => field.set_data_type(wider(field.data_type(), &data_type)),
        }
    }
    for field in &mut fields {
        if *field.data_type() == DataType::Null {
            field.set_data_type(DataType::Utf8);
        }
    }
    fields
}

fn narrowest(text: &str) -> DataType {
    if text.parse::<i32>().is_ok() {
        return DataType::Int32;
    }
    if text.parse::<i64>().is_ok() {
        return DataType::Int64;
    }
    let is_date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    if is_date { DataType::Date32 } else { DataType::Utf8 }
}

fn wider(one: &DataType, other: &DataType) -> DataType {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (DataType::Int32, DataType::Int64) | (DataType::Int64, DataType::Int32) => DataType::Int64,
        _ => DataType::Utf8,
    }
}

/// `%XX` is a character; a `%` without two digits behind it is one, too.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_columns_as_in_spark() {
        let all = [["p=1", "q=x"], ["p=2", "q=y%20z"], ["p=__HIVE_DEFAULT_PARTITION__", "q=2026-01-02"]]
            .map(|folders| values(folders.into_iter()));
        let expected = [Field::new("p", DataType::Int32, true), Field::new("q", DataType::Utf8, true)];
        assert_eq!(fields(&all), expected);
        assert_eq!(all[1][1].value.as_deref(), Some("y z"));
        assert_eq!(all[2][0].value, None);
        assert_eq!(values(["plain", "=x", "100%=5%"].into_iter()).len(), 1);
    }
}
