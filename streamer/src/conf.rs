//! The session's settings: Spark's names, one table with default and meaning.

use std::collections::BTreeMap;

use datafusion::arrow::array::timezone::Tz;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::operators::watermark_tracker::MultipleWatermarkPolicy;
use crate::spark_settings;
use crate::state::StateMemory;

/// A setting under Spark's name.
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    pub doc: &'static str,
    check: fn(&str) -> Result<(), String>,
}

/// Every setting that changes what a query does.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: SESSION_TIME_ZONE,
        default: "",
        doc: "time zone in which timestamps are read and written (this machine's)",
        check: |value| value.parse::<Tz>().map(drop).map_err(|e| e.to_string()),
    },
    Setting {
        key: ANSI_ENABLED,
        default: "true",
        doc: "a value that cannot be cast, and a division by zero, is an error; if not, it is null",
        check: |value| match value.to_lowercase().as_str() {
            "true" | "false" => Ok(()),
            _ => Err("expected true or false".to_owned()),
        },
    },
    Setting {
        key: MIN_BATCHES_TO_RETAIN,
        default: "100",
        doc: "batches whose logs are kept in the checkpoint",
        check: |value| match value.parse::<u64>() {
            Ok(1..) => Ok(()),
            _ => Err("expected a whole number from 1 on".to_owned()),
        },
    },
    Setting {
        key: NO_DATA_BATCHES,
        default: "true",
        doc: "whether a watermark that has moved causes a batch without data",
        check: |value| value.to_lowercase().parse::<bool>().map(drop).map_err(|e| e.to_string()),
    },
    Setting {
        key: CHECKPOINT_LOCATION,
        default: "",
        doc: "folder in which the queries have their checkpoints, where --checkpoint does not say another",
        check: |_| Ok(()),
    },
    Setting {
        key: LATE_ROWS,
        default: "",
        doc: "streaming table or topic that takes the rows that come after the watermark, as JSON; else they are only counted",
        check: |_| Ok(()),
    },
    Setting {
        key: MALFORMED_ROWS,
        default: "",
        doc: "streaming table or topic that takes the records that do not fit the schema of from_json or of a file source; else they are only counted",
        check: |_| Ok(()),
    },
    Setting {
        key: MEMORY_LIMIT,
        default: "128m",
        doc: "memory that the state of all queries may take together, for data and caches; the rest stays on disk",
        check: |value| bytes(value).map(drop),
    },
];

const CHECKPOINT_LOCATION: &str = "spark.sql.streaming.checkpointLocation";
const NO_DATA_BATCHES: &str = "spark.sql.streaming.noDataMicroBatches.enabled";
const LATE_ROWS: &str = "ottla.lateRows";
const MALFORMED_ROWS: &str = "ottla.malformedRows";
/// Shared by the queries of a session.
pub const MEMORY_LIMIT: &str = "ottla.stateStore.memoryLimit";
const WATERMARK_POLICY: &str = "spark.sql.streaming.multipleWatermarkPolicy";
const ANSI_ENABLED: &str = "spark.sql.ansi.enabled";
const SESSION_TIME_ZONE: &str = "spark.sql.session.timeZone";
const MIN_BATCHES_TO_RETAIN: &str = "spark.sql.streaming.minBatchesToRetain";

/// What Spark 4.1.1 writes into each `offsets/N`, in its order: a Spark that continues the query
/// takes these over its own, and missing ones it reads as those of its oldest versions.
const LOGGED: &[(&str, &str)] = &[
    (
        "spark.sql.streaming.stateStore.providerClass",
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
    ),
    ("spark.sql.streaming.stateStore.rocksdb.formatVersion", "5"),
    ("spark.sql.streaming.stateStore.encodingFormat", "unsaferow"),
    ("spark.sql.streaming.statefulOperator.useStrictDistribution", "true"),
    ("spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion", "2"),
    ("spark.sql.streaming.multipleWatermarkPolicy", "min"),
    ("spark.sql.streaming.aggregation.stateFormatVersion", "2"),
    ("spark.sql.shuffle.partitions", "200"),
    ("spark.sql.streaming.join.stateFormatVersion", "2"),
    ("spark.sql.streaming.stateStore.compression.codec", "lz4"),
    ("spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan", "false"),
];

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    values: BTreeMap<String, String>,
    memory: StateMemory,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub enum ConfError {
    #[error("unknown setting {key}; Ottla knows {}", known_keys())]
    Unknown { key: String },
    #[error("{key} cannot be {value:?}: {reason}")]
    Invalid { key: String, value: String, reason: String },
}

impl Conf {
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfError> {
        let logged = LOGGED.iter().any(|(logged, _)| *logged == key);
        match SETTINGS.iter().find(|setting| setting.key == key) {
            Some(setting) => (setting.check)(value).map_err(|reason| ConfError::Invalid {
                key: key.to_owned(),
                value: value.to_owned(),
                reason,
            })?,
            None if logged => {}
            None => spark_settings::check(key, value)?,
        }
        self.values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// An IANA name or an offset such as `+02:00`.
    pub fn session_time_zone(&self) -> String {
        let local = || iana_time_zone::get_timezone().ok();
        self.values
            .get(SESSION_TIME_ZONE)
            .cloned()
            .or_else(local)
            .filter(|name| name.parse::<Tz>().is_ok())
            .unwrap_or_else(|| "UTC".to_owned())
    }

    /// The folder of all checkpoints.
    pub fn checkpoint_location(&self) -> Option<&str> {
        self.name(CHECKPOINT_LOCATION)
    }

    pub fn ansi(&self) -> bool {
        self.values.get(ANSI_ENABLED).is_none_or(|value| value.eq_ignore_ascii_case("true"))
    }

    pub fn min_batches_to_retain(&self) -> u64 {
        self.values.get(MIN_BATCHES_TO_RETAIN).and_then(|value| value.parse().ok()).unwrap_or(100)
    }

    /// The streaming table or topic of late rows.
    pub fn late_rows(&self) -> Option<&str> {
        self.name(LATE_ROWS)
    }

    /// The streaming table or topic of malformed rows.
    pub fn malformed_rows(&self) -> Option<&str> {
        self.name(MALFORMED_ROWS)
    }

    fn name(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What the state stores of all queries share that are planned with this, or with a copy of it.
    pub fn state_memory(&self) -> StateMemory {
        let value = self.values.get(MEMORY_LIMIT).map_or("128m", String::as_str);
        self.memory.with_limit(bytes(value).unwrap_or(128 << 20))
    }

    pub fn runs_without_data(&self) -> bool {
        self.values.get(NO_DATA_BATCHES).is_none_or(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The policy of the query's first batch stays in force; `logged` are its settings.
    pub fn watermark_policy(&self, logged: Option<&Map<String, Value>>) -> MultipleWatermarkPolicy {
        let logged = logged.and_then(|logged| logged.get(WATERMARK_POLICY)?.as_str());
        match logged.or(self.values.get(WATERMARK_POLICY).map(String::as_str)) {
            Some(policy) if policy.eq_ignore_ascii_case("max") => MultipleWatermarkPolicy::Max,
            _ => MultipleWatermarkPolicy::Min,
        }
    }

    /// The settings for `offsets/N`. Those of an earlier batch stay in force for the query's life.
    pub fn logged(&self, earlier: Option<&Map<String, Value>>) -> Map<String, Value> {
        let value = |key: &str, default: &str| {
            earlier
                .and_then(|conf| conf.get(key).cloned())
                .or_else(|| self.values.get(key).cloned().map(Value::String))
                .unwrap_or_else(|| Value::String(default.to_owned()))
        };
        LOGGED.iter().map(|(key, default)| ((*key).to_owned(), value(key, default))).collect()
    }
}

/// A number of bytes, as Spark writes them: `1024`, `64k`, `128m`, `2g`, with or without a `b` behind.
fn bytes(text: &str) -> Result<usize, String> {
    let lower = text.trim().to_lowercase();
    let number = lower.trim_end_matches('b');
    let (digits, shift) = match number.chars().last() {
        Some('k') => (number.trim_end_matches('k'), 10),
        Some('m') => (number.trim_end_matches('m'), 20),
        Some('g') => (number.trim_end_matches('g'), 30),
        _ => (number, 0),
    };
    let count: usize = digits.parse().map_err(|_| "expected a size such as 128m".to_owned())?;
    count.checked_mul(1 << shift).ok_or_else(|| "it is too large".to_owned())
}

fn known_keys() -> String {
    let keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    keys.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_an_earlier_batch_stays() {
        let mut conf = Conf::default();
        conf.set("spark.sql.shuffle.partitions", "4").unwrap();
        assert_eq!(conf.logged(None)["spark.sql.shuffle.partitions"], "4");
        let earlier = Map::from_iter([("spark.sql.shuffle.partitions".to_owned(), "2".into())]);
        assert_eq!(conf.logged(Some(&earlier))["spark.sql.shuffle.partitions"], "2");
    }

    #[test]
    fn bad_settings_say_why() {
        let mut conf = Conf::default();
        conf.set("spark.sql.session.timeZone", "Europe/Ljubljana").unwrap();
        assert_eq!(conf.session_time_zone(), "Europe/Ljubljana");
        for (key, value) in [
            ("spark.sql.session.timeZone", "Mars/Base"),
            ("spark.sql.streaming.minBatchesToRetain", "0"),
            ("spark.sql.streaming.minBatchToRetain", "5"),
        ] {
            let error = conf.set(key, value).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        // What jobs for a Spark set, and what they cannot set.
        conf.set("spark.sql.adaptive.enabled", "false").unwrap();
        conf.set("spark.sql.caseSensitive", "FALSE").unwrap();
        let error = conf.set("spark.sql.caseSensitive", "true").unwrap_err().to_string();
        assert_eq!(error, "spark.sql.caseSensitive cannot be \"true\": Ottla serves false alone");
    }
}
