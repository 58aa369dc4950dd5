//! The properties of a topic. Names and types are Kafka's; the defaults are the broker's own settings.

use ottla_protocol::batch::TimestampType;
use ottla_storage::{CompactionPolicy, LogConfig};

use crate::config::broker_settings::BrokerSettings;
use crate::config::table::{any, only, settings};
use crate::config::value::{CleanupPolicy, CompressionType, MessageTimestampType};

settings! {
    /// What a topic's own configuration and the broker's defaults come to.
    pub struct TopicSettings,
    /// Every property that a topic can have.
    pub static TOPIC_SETTINGS;

    cleanup_policy: CleanupPolicy = CleanupPolicy { delete: true, compact: false }, "cleanup.policy", any(),
        "What becomes of old segments: delete, compact, or both.";
    compression_type: CompressionType = CompressionType::Producer, "compression.type", any(),
        "The codec of stored batches; producer keeps what was sent.";
    compression_gzip_level: i32 = -1, "compression.gzip.level", only(|level| *level == -1 || (1..=9).contains(level), "1 to 9, or -1"),
        "The level of gzip; without effect, batches are stored as they come.";
    compression_lz4_level: i32 = 9, "compression.lz4.level", only(|level| (1..=17).contains(level), "1 to 17"),
        "The level of lz4; without effect, batches are stored as they come.";
    compression_zstd_level: i32 = 3, "compression.zstd.level", only(|level| (-131_072..=22).contains(level), "-131072 to 22"),
        "The level of zstd; without effect, batches are stored as they come.";
    delete_retention_ms: i64 = 86_400_000, "delete.retention.ms", NOT_NEGATIVE,
        "How long a compacted topic keeps its tombstones.";
    file_delete_delay_ms: i64 = 60_000, "file.delete.delay.ms", NOT_NEGATIVE,
        "How long a deleted segment's files stay; without effect, they go as soon as nobody reads them.";
    flush_messages: i64 = i64::MAX, "flush.messages", only(|count| *count >= 1, "at least 1"),
        "After how many records a partition is forced to disk; 1 is before every acknowledgement.";
    flush_ms: i64 = i64::MAX, "flush.ms", NOT_NEGATIVE,
        "How long a record may lie in the page cache before it is forced to disk.";
    follower_replication_throttled_replicas: Vec<String> = vec![], "follower.replication.throttled.replicas", any(),
        "Replicas whose replication is throttled; without effect on one broker.";
    index_interval_bytes: i32 = 4_096, "index.interval.bytes", only(|bytes| *bytes >= 0, "at least 0"),
        "How many bytes of records lie between two entries of the offset index.";
    leader_replication_throttled_replicas: Vec<String> = vec![], "leader.replication.throttled.replicas", any(),
        "Replicas whose replication is throttled; without effect on one broker.";
    local_retention_bytes: i64 = -2, "local.retention.bytes", only(|bytes| *bytes >= -2, "at least -2"),
        "retention.bytes for what has been copied to remote storage, which there is none of.";
    local_retention_ms: i64 = -2, "local.retention.ms", only(|ms| *ms >= -2, "at least -2"),
        "retention.ms for what has been copied to remote storage, which there is none of.";
    max_compaction_lag_ms: i64 = i64::MAX, "max.compaction.lag.ms", only(|ms| *ms >= 1, "at least 1"),
        "How long a record stays uncompacted at most.";
    max_message_bytes: i32 = 1_048_588, "max.message.bytes", only(|bytes| *bytes >= 0, "at least 0"),
        "The largest record batch allowed, after compression.";
    message_timestamp_after_max_ms: i64 = 3_600_000, "message.timestamp.after.max.ms", NOT_NEGATIVE,
        "How far a record's timestamp may lie after the broker's clock.";
    message_timestamp_before_max_ms: i64 = i64::MAX, "message.timestamp.before.max.ms", NOT_NEGATIVE,
        "How far a record's timestamp may lie before the broker's clock.";
    message_timestamp_type: MessageTimestampType = MessageTimestampType::CreateTime, "message.timestamp.type", any(),
        "Whether records carry the producer's time or the broker's.";
    min_cleanable_dirty_ratio: f64 = 0.5, "min.cleanable.dirty.ratio", only(|ratio| (0.0..=1.0).contains(ratio), "between 0 and 1"),
        "The share of a log that is dirty before it is compacted.";
    min_compaction_lag_ms: i64 = 0, "min.compaction.lag.ms", NOT_NEGATIVE,
        "How long a record stays uncompacted at least.";
    min_insync_replicas: i32 = 1, "min.insync.replicas", only(|count| *count >= 1, "at least 1"),
        "How many replicas must hold a record before acks=all is answered; one broker holds one.";
    preallocate: bool = true, "preallocate", any(),
        "Whether segment files are allocated in advance. Always so here, because they are mapped.";
    remote_log_copy_disable: bool = false, "remote.log.copy.disable", any(),
        "Whether copying to remote storage is halted; there is none.";
    remote_log_delete_on_disable: bool = false, "remote.log.delete.on.disable", any(),
        "Whether records in remote storage go when it is switched off; there is none.";
    remote_storage_enable: bool = false, "remote.storage.enable", only(|enable| !enable, "false: there is no remote storage"),
        "Whether old segments are moved to remote storage, which is not done.";
    retention_bytes: i64 = -1, "retention.bytes", any(),
        "How large a partition may grow before its oldest segments are deleted; -1 is without limit.";
    retention_ms: i64 = 604_800_000, "retention.ms", only(|ms| *ms >= -1, "at least -1"),
        "How long records are kept; -1 keeps them for ever.";
    segment_bytes: i32 = 1_073_741_824, "segment.bytes", only(|bytes| *bytes >= 14, "at least 14"),
        "The size at which a segment file is closed and the next one begun.";
    segment_index_bytes: i32 = 10_485_760, "segment.index.bytes", only(|bytes| *bytes >= 4, "at least 4"),
        "The largest size of a segment's offset index.";
    segment_jitter_ms: i64 = 0, "segment.jitter.ms", NOT_NEGATIVE,
        "Up to this much earlier a segment is closed by age, so that not all close at once.";
    segment_ms: i64 = 604_800_000, "segment.ms", only(|ms| *ms >= 1, "at least 1"),
        "The age at which a segment is closed.";
    unclean_leader_election_enable: bool = false, "unclean.leader.election.enable", any(),
        "Whether a replica that is not in sync may become leader; without effect on one broker.";
}

const NOT_NEGATIVE: crate::config::table::Allowed<i64> = only(|value| *value >= 0, "at least 0");

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl TopicSettings {
    /// The settings of a topic that has no configuration of its own.
    pub fn from_broker(broker: &BrokerSettings) -> TopicSettings {
        TopicSettings {
            cleanup_policy: broker.log_cleanup_policy,
            compression_type: broker.compression_type,
            delete_retention_ms: broker.log_cleaner_delete_retention_ms,
            file_delete_delay_ms: broker.log_segment_delete_delay_ms,
            flush_messages: broker.log_flush_interval_messages,
            flush_ms: broker.log_flush_interval_ms.unwrap_or(i64::MAX),
            index_interval_bytes: broker.log_index_interval_bytes,
            max_compaction_lag_ms: broker.log_cleaner_max_compaction_lag_ms,
            max_message_bytes: broker.message_max_bytes,
            message_timestamp_after_max_ms: broker.log_message_timestamp_after_max_ms,
            message_timestamp_before_max_ms: broker.log_message_timestamp_before_max_ms,
            message_timestamp_type: broker.log_message_timestamp_type,
            min_cleanable_dirty_ratio: broker.log_cleaner_min_cleanable_ratio,
            min_compaction_lag_ms: broker.log_cleaner_min_compaction_lag_ms,
            min_insync_replicas: broker.min_insync_replicas,
            preallocate: broker.log_preallocate,
            retention_bytes: broker.log_retention_bytes,
            retention_ms: retention_ms(broker),
            segment_bytes: broker.log_segment_bytes,
            segment_index_bytes: broker.log_index_size_max_bytes,
            segment_jitter_ms: broker
                .log_roll_jitter_ms
                .unwrap_or(i64::from(broker.log_roll_jitter_hours) * HOUR_MS),
            segment_ms: broker.log_roll_ms.unwrap_or(i64::from(broker.log_roll_hours) * HOUR_MS),
            unclean_leader_election_enable: broker.unclean_leader_election_enable,
            ..TopicSettings::default()
        }
    }
}

impl TopicSettings {
    /// What a partition's log has to know.
    pub fn log_config(&self) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes.unsigned_abs(),
            segment_ms: self.segment_ms,
            segment_jitter_ms: self.segment_jitter_ms,
            segment_index_bytes: self.segment_index_bytes.unsigned_abs(),
            index_interval_bytes: self.index_interval_bytes.unsigned_abs(),
            max_message_bytes: self.max_message_bytes.unsigned_abs(),
            message_timestamp_type: match self.message_timestamp_type {
                MessageTimestampType::CreateTime => TimestampType::CreateTime,
                MessageTimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            message_timestamp_before_max_ms: self.message_timestamp_before_max_ms,
            message_timestamp_after_max_ms: self.message_timestamp_after_max_ms,
            deletes: self.cleanup_policy.delete,
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            compacted: self.cleanup_policy.compact,
            flush_messages: self.flush_messages,
            flush_ms: self.flush_ms,
        }
    }

    pub(crate) fn compaction_policy(&self) -> CompactionPolicy {
        CompactionPolicy {
            min_cleanable_dirty_ratio: self.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: self.min_compaction_lag_ms,
            max_compaction_lag_ms: self.max_compaction_lag_ms,
            delete_retention_ms: self.delete_retention_ms,
        }
    }
}

/// The broker properties from which a topic property takes its default, the strongest first.
pub fn broker_synonyms(topic_property: &str) -> &'static [&'static str] {
    match topic_property {
        "cleanup.policy" => &["log.cleanup.policy"],
        "compression.type" => &["compression.type"],
        "delete.retention.ms" => &["log.cleaner.delete.retention.ms"],
        "file.delete.delay.ms" => &["log.segment.delete.delay.ms"],
        "flush.messages" => &["log.flush.interval.messages"],
        "flush.ms" => &["log.flush.interval.ms"],
        "index.interval.bytes" => &["log.index.interval.bytes"],
        "max.compaction.lag.ms" => &["log.cleaner.max.compaction.lag.ms"],
        "max.message.bytes" => &["message.max.bytes"],
        "message.timestamp.after.max.ms" => &["log.message.timestamp.after.max.ms"],
        "message.timestamp.before.max.ms" => &["log.message.timestamp.before.max.ms"],
        "message.timestamp.type" => &["log.message.timestamp.type"],
        "min.cleanable.dirty.ratio" => &["log.cleaner.min.cleanable.ratio"],
        "min.compaction.lag.ms" => &["log.cleaner.min.compaction.lag.ms"],
        "min.insync.replicas" => &["min.insync.replicas"],
        "preallocate" => &["log.preallocate"],
        "retention.bytes" => &["log.retention.bytes"],
        "retention.ms" => &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        "segment.bytes" => &["log.segment.bytes"],
        "segment.index.bytes" => &["log.index.size.max.bytes"],
        "segment.ms" => &["log.roll.ms", "log.roll.hours"],
        "unclean.leader.election.enable" => &["unclean.leader.election.enable"],
        _ => &[],
    }
}

fn retention_ms(broker: &BrokerSettings) -> i64 {
    let minutes_ms = broker.log_retention_minutes.map(|minutes| i64::from(minutes) * MINUTE_MS);
    let hours_ms = i64::from(broker.log_retention_hours) * HOUR_MS;
    // Any negative span is Kafka's "for ever".
    broker.log_retention_ms.or(minutes_ms).unwrap_or(hours_ms).max(-1)
}
