//! `state/<operator>/_metadata/metadata`: which stateful operator the state is of. Spark's `OperatorStateMetadataV1`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use super::log_file::{self, LogFileError};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorMetadata {
    pub operator_info: OperatorInfo,
    pub state_store_info: Vec<StateStoreInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorInfo {
    pub operator_id: usize,
    pub operator_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateStoreInfo {
    pub store_name: String,
    pub num_cols_prefix_key: usize,
    pub num_partitions: usize,
}

impl OperatorMetadata {
    fn new(operator_id: usize, operator_name: &str) -> OperatorMetadata {
        let store =
            StateStoreInfo { store_name: "default".to_owned(), num_cols_prefix_key: 0, num_partitions: 1 };
        let operator_info = OperatorInfo { operator_id, operator_name: operator_name.to_owned() };
        OperatorMetadata { operator_info, state_store_info: vec![store] }
    }

    fn to_text(&self) -> String {
        // Numbers and texts always serialize.
        format!("v1\n{}", serde_json::to_string(self).unwrap_or_default())
    }
}

/// The operators of the checkpoint by number, those of which it knows.
pub fn read(state_folder: &Path) -> Result<Vec<OperatorMetadata>, LogFileError> {
    let mut operators = Vec::new();
    loop {
        let path = path(state_folder, operators.len());
        let Some(text) = log_file::read_text(&path)? else {
            return Ok(operators);
        };
        let json = log_file::strip_version(&path, &text)?;
        let metadata = serde_json::from_str(json).map_err(|error| {
            LogFileError::malformed(&path, format!("line 2 is not an operator's metadata ({error})"))
        })?;
        operators.push(metadata);
    }
}

/// Refuses a query whose operators are not those of the checkpoint; a new checkpoint gets them. `names` are by number.
pub(super) fn check(state_folder: &Path, names: &[&'static str]) -> Result<(), CheckpointError> {
    let stored = read(state_folder)?;
    let stored_names: Vec<_> =
        stored.iter().map(|operator| operator.operator_info.operator_name.as_str()).collect();
    if stored_names == names {
        return Ok(());
    }
    // A process that ended while it wrote these has left the first of them, and no state.
    let has_state = (0..names.len()).any(|id| state_folder.join(id.to_string()).join("0").exists());
    if has_state || !names.starts_with(&stored_names) {
        return Err(CheckpointError::Operators { stored: listed(&stored_names), requested: listed(names) });
    }
    for (id, name) in names.iter().enumerate() {
        let content = OperatorMetadata::new(id, name).to_text();
        log_file::write_again(&path(state_folder, id), content.as_bytes())?;
    }
    Ok(())
}

fn path(state_folder: &Path, operator: usize) -> PathBuf {
    state_folder.join(operator.to_string()).join("_metadata").join("metadata")
}

fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(id, name)| format!("(OperatorId: {id} -> OperatorName: {name})"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_spark_4_1_1_writes() {
        let text = OperatorMetadata::new(0, "stateStoreSave").to_text();
        let spark = concat!(
            "v1\n",
            r#"{"operatorInfo":{"operatorId":0,"operatorName":"stateStoreSave"},"#,
            r#""stateStoreInfo":[{"storeName":"default","numColsPrefixKey":0,"numPartitions":1}]}"#
        );
        assert_eq!(text, spark);
    }

    #[test]
    fn what_was_written_in_part_is_completed_as_long_as_there_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("0/_metadata")).unwrap();
        check(folder.path(), &["dedupe"]).unwrap();
        check(folder.path(), &["dedupe", "stateStoreSave"]).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);
        std::fs::create_dir_all(folder.path().join("0/0")).unwrap();
        check(folder.path(), &["dedupe", "stateStoreSave", "dedupe"]).unwrap_err();
    }

    #[test]
    fn other_operators_than_those_of_the_checkpoint_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), &["dedupe", "stateStoreSave"]).unwrap();
        check(folder.path(), &["dedupe", "stateStoreSave"]).unwrap();
        std::fs::create_dir_all(folder.path().join("0/0")).unwrap();
        for changed in [&["stateStoreSave"][..], &[], &["dedupe", "stateStoreSave", "dedupe"]] {
            let error = check(folder.path(), changed).unwrap_err().to_string();
            assert!(error.contains("(OperatorId: 0 -> OperatorName: dedupe)"), "{error}");
        }
    }
}
