//! `offsets/N`: what batch N reads, written before it runs. Spark's `OffsetSeqLog`, v1.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch_log::LogEntry;

/// A source that has no offset yet.
const NO_OFFSET: &str = "-";

/// What a batch must find again when it is run a second time.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetSeq {
    /// Absent only in the logs of Spark 2.0.
    pub metadata: Option<OffsetSeqMetadata>,
    /// For each source in plan order, the JSON of the offset up to which the batch reads.
    pub offsets: Vec<Option<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetSeqMetadata {
    /// The watermark in force while the batch runs.
    #[serde(default)]
    pub batch_watermark_ms: i64,
    /// What `current_timestamp()` answers in the batch.
    #[serde(default)]
    pub batch_timestamp_ms: i64,
    /// Settings that must not change between batches, in Spark's order.
    #[serde(default)]
    pub conf: Map<String, Value>,
}

impl LogEntry for OffsetSeq {
    fn to_text(&self) -> String {
        let metadata = self.metadata.as_ref().map_or_else(String::new, |metadata| {
            // A map with string keys always serializes.
            serde_json::to_string(metadata).unwrap_or_default()
        });
        let sources = self.offsets.iter().map(|offset| offset.as_deref().unwrap_or(NO_OFFSET));
        std::iter::once(metadata.as_str()).chain(sources).collect::<Vec<_>>().join("\n")
    }

    fn from_text(text: &str) -> Result<OffsetSeq, String> {
        let mut lines = text.lines();
        let metadata = match lines.next().unwrap_or_default().trim() {
            "" => None,
            json => Some(
                serde_json::from_str(json)
                    .map_err(|error| format!("line 2 is not its metadata ({error})"))?,
            ),
        };
        let offsets: Vec<_> = lines.map(|line| (line != NO_OFFSET).then(|| line.to_owned())).collect();
        if offsets.is_empty() {
            return Err("it ends before the offset of the first source (line 3)".to_owned());
        }
        Ok(OffsetSeq { metadata, offsets })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conf::Conf;

    /// Taken from a checkpoint of PySpark 4.1.1.
    const SPARK: &str = concat!(
        r#"{"batchWatermarkMs":0,"batchTimestampMs":1795414718017,"conf":{"#,
        r#""spark.sql.streaming.stateStore.providerClass":"org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider","#,
        r#""spark.sql.streaming.stateStore.rocksdb.formatVersion":"5","#,
        r#""spark.sql.streaming.stateStore.encodingFormat":"unsaferow","#,
        r#""spark.sql.streaming.statefulOperator.useStrictDistribution":"true","#,
        r#""spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion":"2","#,
        r#""spark.sql.streaming.multipleWatermarkPolicy":"min","#,
        r#""spark.sql.streaming.aggregation.stateFormatVersion":"2","#,
        r#""spark.sql.shuffle.partitions":"200","#,
        r#""spark.sql.streaming.join.stateFormatVersion":"2","#,
        r#""spark.sql.streaming.stateStore.compression.codec":"lz4","#,
        r#""spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan":"false"}}"#,
        "\n",
        r#"{"t1":{"0":2,"1":1,"2":1,"3":0}}"#
    );

    #[test]
    fn is_what_spark_4_1_1_writes() {
        let entry = OffsetSeq {
            metadata: Some(OffsetSeqMetadata {
                batch_watermark_ms: 0,
                batch_timestamp_ms: 1_795_414_718_017,
                conf: Conf::default().logged(None),
            }),
            offsets: vec![Some(r#"{"t1":{"0":2,"1":1,"2":1,"3":0}}"#.to_owned())],
        };
        assert_eq!(entry.to_text(), SPARK);
        assert_eq!(OffsetSeq::from_text(SPARK), Ok(entry));
    }

    #[test]
    fn a_truncated_file_is_refused() {
        for cut in [0, 1, 40, SPARK.find('\n').unwrap()] {
            OffsetSeq::from_text(&SPARK[..cut]).unwrap_err();
        }
    }

    #[test]
    fn unknown_metadata_of_other_writers_is_skipped() {
        let text = "{\"batchWatermarkMs\":5,\"conf\":{},\"sourceMetadataInfo\":{}}\n-\n{\"logOffset\":3}";
        let entry = OffsetSeq::from_text(text).unwrap();
        assert_eq!(entry.metadata.unwrap().batch_watermark_ms, 5);
        assert_eq!(entry.offsets, [None, Some("{\"logOffset\":3}".to_owned())]);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            watermark in any::<i64>(),
            timestamp in any::<i64>(),
            conf in proptest::collection::btree_map("[a-z.]{1,20}", ".{0,20}", 0..5),
            offsets in proptest::collection::vec(proptest::option::of("\\{[a-z0-9\":,]{0,40}\\}"), 1..4),
        ) {
            let conf = conf.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            let metadata = OffsetSeqMetadata { batch_watermark_ms: watermark, batch_timestamp_ms: timestamp, conf };
            let entry = OffsetSeq { metadata: Some(metadata), offsets };
            prop_assert_eq!(OffsetSeq::from_text(&entry.to_text()), Ok(entry));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = OffsetSeq::from_text(&text);
        }
    }
}
