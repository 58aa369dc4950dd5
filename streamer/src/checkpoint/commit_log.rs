//! `commits/N`: batch N is done, its rows are in the sink. Spark's `CommitLog`, v1.

use serde::{Deserialize, Serialize};

use super::batch_log::LogEntry;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitMetadata {
    #[serde(default)]
    pub next_batch_watermark_ms: i64,
}

impl LogEntry for CommitMetadata {
    fn to_text(&self) -> String {
        format!("{{\"nextBatchWatermarkMs\":{}}}", self.next_batch_watermark_ms)
    }

    fn from_text(text: &str) -> Result<CommitMetadata, String> {
        serde_json::from_str(text).map_err(|error| format!("line 2 is not its metadata ({error})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_spark_4_1_1_writes() {
        let commit = CommitMetadata { next_batch_watermark_ms: 21_000 };
        assert_eq!(commit.to_text(), r#"{"nextBatchWatermarkMs":21000}"#);
        assert_eq!(CommitMetadata::from_text(&commit.to_text()), Ok(commit));
        assert_eq!(CommitMetadata::from_text("{}"), Ok(CommitMetadata::default()));
    }
}
