//! Settings that jobs for a Spark have, and that change no row here.

use crate::conf::ConfError;

/// Settings of Spark of which Ottla has one behaviour: what they may be.
const ONE_BEHAVIOUR: &[(&str, &[&str])] = &[
    ("spark.sql.caseSensitive", &["false"]),
    ("spark.sql.decimalOperations.allowPrecisionLoss", &["true"]),
    ("spark.sql.legacy.timeParserPolicy", &["corrected", "exception"]),
    ("spark.sql.sources.default", &["parquet"]),
    ("spark.sql.storeAssignmentPolicy", &["ansi"]),
    ("spark.sql.streaming.schemaInference", &["false"]),
    ("spark.sql.timestampType", &["timestamp_ltz"]),
];

/// What these begin is about the speed, the cluster or the console of a Spark, and changes no row.
const NO_EFFECT: &[&str] = &[
    "spark.app.",
    "spark.cores.",
    "spark.default.parallelism",
    "spark.driver.",
    "spark.dynamicAllocation.",
    "spark.eventLog.",
    "spark.executor.",
    "spark.hadoop.",
    "spark.jars",
    "spark.kryo",
    "spark.local.",
    "spark.log",
    "spark.master",
    "spark.memory.",
    "spark.network.",
    "spark.rdd.",
    "spark.scheduler.",
    "spark.serializer",
    "spark.shuffle.",
    "spark.sql.adaptive.",
    "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.broadcastTimeout",
    "spark.sql.catalog",
    "spark.sql.codegen.",
    "spark.sql.debug.",
    "spark.sql.execution.",
    "spark.sql.extensions",
    "spark.sql.files.",
    "spark.sql.inMemoryColumnarStorage.",
    "spark.sql.join.",
    "spark.sql.parquet.",
    "spark.sql.repl.",
    "spark.sql.streaming.forceDeleteTempCheckpointLocation",
    "spark.sql.streaming.kafka.",
    "spark.sql.streaming.metricsEnabled",
    "spark.sql.streaming.numRecentProgressUpdates",
    "spark.sql.streaming.pollingDelay",
    "spark.sql.streaming.stateStore.",
    "spark.sql.streaming.statefulOperator.",
    "spark.sql.streaming.stopTimeout",
    "spark.sql.streaming.ui.",
    "spark.sql.ui.",
    "spark.sql.warehouse.dir",
    "spark.streaming.",
    "spark.submit.",
    "spark.task.",
    "spark.ui.",
];

/// A setting that changes nothing here. One that nobody has heard of is more likely misspelt.
pub(crate) fn check(key: &str, value: &str) -> Result<(), ConfError> {
    if let Some((_, served)) = ONE_BEHAVIOUR.iter().find(|(known, _)| *known == key) {
        if served.contains(&value.to_lowercase().as_str()) {
            return Ok(());
        }
        let reason = format!("Ottla serves {} alone", served.join(" and "));
        return Err(ConfError::Invalid { key: key.to_owned(), value: value.to_owned(), reason });
    }
    if !NO_EFFECT.iter().any(|begins| key.starts_with(begins)) {
        return Err(ConfError::Unknown { key: key.to_owned() });
    }
    tracing::warn!("the setting {key} has no effect in Ottla");
    Ok(())
}
