//! The properties of the broker. Names, types and defaults are Kafka's; a comment says where a default is not.

use ottla_storage::Durability;

use crate::config::table::{any, only, settings};
use crate::config::topic_settings::TopicSettings;
use crate::config::value::{CleanupPolicy, CompressionType, MessageTimestampType};
use crate::listener::ListenAddress;

settings! {
    /// What `server.properties` and overrides say about the broker.
    pub struct BrokerSettings,
    /// Every property that the broker acts on.
    pub static BROKER_SETTINGS;

    node_id: i32 = 1, "node.id", NOT_NEGATIVE,
        "The node id of this broker, as clients see it in metadata.";
    listeners: Vec<ListenAddress> = vec![ListenAddress { host: "localhost".to_owned(), port: 9092 }], "listeners", any(),
        "The addresses to listen on, as host:port or PLAINTEXT://host:port, separated by commas. Port 0 takes a free one; localhost is both 127.0.0.1 and ::1.";
    advertised_listeners: Vec<ListenAddress> = vec![], "advertised.listeners", any(),
        "The addresses that clients are told to use, one for each of the listeners in their order. Empty: the listeners' own.";
    log_dirs: String = "./ottla-data".to_owned(), "log.dirs", only(|dir: &String| !dir.is_empty() && !dir.contains(','), "one directory"),
        "The directory in which the log data is kept.";
    max_connections: i32 = 10_000, "max.connections", AT_LEAST_ONE,
        "The most connections that are served at a time; over it a new one is closed at once.";
    max_connections_per_ip: i32 = i32::MAX, "max.connections.per.ip", NOT_NEGATIVE,
        "The most connections from one address; over it a new one is closed at once.";
    connections_max_idle_ms: i64 = 600_000, "connections.max.idle.ms", any(),
        "A connection on which nothing came or went for so many milliseconds is closed; -1 keeps it.";
    queued_max_request_bytes: i64 = 134_217_728, "queued.max.request.bytes", any(),
        "The memory for all requests of more than 16 KiB that are still arriving; later ones wait in their sockets. -1 is without limit, which is Kafka's default.";
    socket_request_max_bytes: i32 = 104_857_600, "socket.request.max.bytes", AT_LEAST_ONE,
        "The maximum number of bytes in a request.";
    fetch_max_bytes: i32 = 57_671_680, "fetch.max.bytes", only(|bytes| *bytes >= 1024, "at least 1024"),
        "The most bytes that one fetch request returns; the first batch is returned even if it is larger.";
    max_incremental_fetch_session_cache_slots: i32 = 1_000, "max.incremental.fetch.session.cache.slots", NOT_NEGATIVE,
        "How many incremental fetch sessions are kept (KIP-227).";
    auto_create_topics_enable: bool = true, "auto.create.topics.enable", any(),
        "Whether a metadata request creates a topic that does not exist.";
    delete_topic_enable: bool = true, "delete.topic.enable", any(),
        "Whether topics can be deleted.";
    num_partitions: i32 = 1, "num.partitions", AT_LEAST_ONE,
        "The number of partitions of a topic that is created without one.";
    default_replication_factor: i32 = 1, "default.replication.factor", AT_LEAST_ONE,
        "The replication factor of a topic that is created without one; one broker holds one replica.";
    message_max_bytes: i32 = 1_048_588, "message.max.bytes", NOT_NEGATIVE,
        "The largest record batch allowed, after compression.";
    log_segment_bytes: i32 = 1_073_741_824, "log.segment.bytes", only(|bytes| *bytes >= 14, "at least 14"),
        "The size at which a segment file is closed and the next one begun.";
    log_roll_hours: i32 = 168, "log.roll.hours", AT_LEAST_ONE,
        "The age in hours at which a segment is closed, where log.roll.ms is not set.";
    log_roll_ms: Option<i64> = None, "log.roll.ms", any(),
        "The age in milliseconds at which a segment is closed.";
    log_roll_jitter_hours: i32 = 0, "log.roll.jitter.hours", NOT_NEGATIVE,
        "Up to this many hours earlier a segment is closed by age, where log.roll.jitter.ms is not set.";
    log_roll_jitter_ms: Option<i64> = None, "log.roll.jitter.ms", any(),
        "Up to this many milliseconds earlier a segment is closed by age.";
    log_index_size_max_bytes: i32 = 10_485_760, "log.index.size.max.bytes", only(|bytes| *bytes >= 4, "at least 4"),
        "The largest size of a segment's offset index.";
    log_index_interval_bytes: i32 = 4_096, "log.index.interval.bytes", NOT_NEGATIVE,
        "How many bytes of records lie between two entries of the offset index.";
    log_retention_hours: i32 = 168, "log.retention.hours", any(),
        "How many hours records are kept, where neither minutes nor milliseconds are set.";
    log_retention_minutes: Option<i32> = None, "log.retention.minutes", any(),
        "How many minutes records are kept, where log.retention.ms is not set.";
    log_retention_ms: Option<i64> = None, "log.retention.ms", any(),
        "How many milliseconds records are kept; -1 keeps them for ever.";
    log_retention_bytes: i64 = -1, "log.retention.bytes", any(),
        "How large a partition may grow before its oldest segments are deleted; -1 is without limit.";
    log_retention_check_interval_ms: i64 = 300_000, "log.retention.check.interval.ms", only(|ms| *ms >= 1, "at least 1"),
        "How often logs are checked for segments whose retention is over.";
    log_initial_task_delay_ms: i64 = 30_000, "log.initial.task.delay.ms", only(|ms| *ms >= 0, "at least 0"),
        "How long after the start logs are first checked for segments whose retention is over.";
    log_segment_delete_delay_ms: i64 = 60_000, "log.segment.delete.delay.ms", only(|ms| *ms >= 0, "at least 0"),
        "How long a deleted segment's files stay; without effect, they go as soon as nobody reads them.";
    log_cleanup_policy: CleanupPolicy = CleanupPolicy { delete: true, compact: false }, "log.cleanup.policy", any(),
        "What becomes of old segments: delete, compact, or both.";
    log_cleaner_enable: bool = true, "log.cleaner.enable", any(),
        "Whether compacted topics, __consumer_offsets among them, are compacted. Without it they grow for ever.";
    log_cleaner_backoff_ms: i64 = 15_000, "log.cleaner.backoff.ms", only(|ms| *ms >= 0, "at least 0"),
        "How long the log cleaner rests before it looks for logs to compact again.";
    log_cleaner_dedupe_buffer_size: i64 = 134_217_728, "log.cleaner.dedupe.buffer.size", only(|bytes| *bytes >= 0, "at least 0"),
        "How much memory the offsets of keys may take during a compaction. It is taken as keys come; with less than all of them need, a log is compacted in several rounds.";
    log_cleaner_io_max_bytes_per_second: f64 = f64::MAX, "log.cleaner.io.max.bytes.per.second", only(|rate| *rate > 0.0, "more than 0"),
        "How many bytes the log cleaner reads and writes in a second at most, on average.";
    log_cleaner_delete_retention_ms: i64 = 86_400_000, "log.cleaner.delete.retention.ms", only(|ms| *ms >= 0, "at least 0"),
        "How long a compacted topic keeps its tombstones.";
    log_cleaner_min_compaction_lag_ms: i64 = 0, "log.cleaner.min.compaction.lag.ms", only(|ms| *ms >= 0, "at least 0"),
        "How long a record stays uncompacted at least.";
    log_cleaner_max_compaction_lag_ms: i64 = i64::MAX, "log.cleaner.max.compaction.lag.ms", only(|ms| *ms >= 1, "at least 1"),
        "How long a record stays uncompacted at most.";
    log_cleaner_min_cleanable_ratio: f64 = 0.5, "log.cleaner.min.cleanable.ratio", only(|ratio| (0.0..=1.0).contains(ratio), "between 0 and 1"),
        "The share of a log that is dirty before it is compacted.";
    log_flush_interval_messages: i64 = i64::MAX, "log.flush.interval.messages", only(|count| *count >= 1, "at least 1"),
        "After how many records a partition is forced to disk; 1 is before every acknowledgement.";
    log_flush_interval_ms: Option<i64> = None, "log.flush.interval.ms", any(),
        "How long a record may lie in the page cache before it is forced to disk.";
    log_flush_offset_checkpoint_interval_ms: i32 = 60_000, "log.flush.offset.checkpoint.interval.ms", AT_LEAST_ONE,
        "How often logs that have grown are forced to disk and their recovery points written: after a kill, at most what came since is checked.";
    log_preallocate: bool = true, "log.preallocate", any(),
        "Whether segment files are allocated in advance. Always so here, because they are mapped; Kafka's default is false.";
    log_message_timestamp_type: MessageTimestampType = MessageTimestampType::CreateTime, "log.message.timestamp.type", any(),
        "Whether records carry the producer's time or the broker's.";
    log_message_timestamp_before_max_ms: i64 = i64::MAX, "log.message.timestamp.before.max.ms", only(|ms| *ms >= 0, "at least 0"),
        "How far a record's timestamp may lie before the broker's clock.";
    log_message_timestamp_after_max_ms: i64 = 3_600_000, "log.message.timestamp.after.max.ms", only(|ms| *ms >= 0, "at least 0"),
        "How far a record's timestamp may lie after the broker's clock.";
    compression_type: CompressionType = CompressionType::Producer, "compression.type", any(),
        "The codec of stored batches; producer keeps what was sent.";
    min_insync_replicas: i32 = 1, "min.insync.replicas", AT_LEAST_ONE,
        "How many replicas must hold a record before acks=all is answered; one broker holds one.";
    unclean_leader_election_enable: bool = false, "unclean.leader.election.enable", any(),
        "Whether a replica that is not in sync may become leader; without effect on one broker.";
    producer_id_expiration_ms: i32 = 86_400_000, "producer.id.expiration.ms", AT_LEAST_ONE,
        "How long an idle producer id's sequence numbers are remembered.";
    group_initial_rebalance_delay_ms: i32 = 0, "group.initial.rebalance.delay.ms", NOT_NEGATIVE,
        "How long an empty group waits for more members before its first rebalance. Kafka's default is 3000; tests and laptops should not wait.";
    group_min_session_timeout_ms: i32 = 6_000, "group.min.session.timeout.ms", any(),
        "The shortest session timeout that a group member may ask for.";
    group_max_session_timeout_ms: i32 = 1_800_000, "group.max.session.timeout.ms", any(),
        "The longest session timeout that a group member may ask for.";
    group_max_size: i32 = i32::MAX, "group.max.size", AT_LEAST_ONE,
        "The most members that a group may have.";
    offsets_retention_minutes: i32 = 10_080, "offsets.retention.minutes", AT_LEAST_ONE,
        "How long committed offsets outlive the last member of their group.";
    offsets_retention_check_interval_ms: i64 = 600_000, "offsets.retention.check.interval.ms", only(|ms| *ms >= 1, "at least 1"),
        "How often offsets are checked for expiry.";
    offset_metadata_max_bytes: i32 = 4_096, "offset.metadata.max.bytes", any(),
        "The longest metadata text of a committed offset.";
    offsets_topic_num_partitions: i32 = 50, "offsets.topic.num.partitions", AT_LEAST_ONE,
        "The partitions that __consumer_offsets is created with, when the first group comes.";
    offsets_topic_replication_factor: i32 = 1, "offsets.topic.replication.factor", AT_LEAST_ONE,
        "The replication factor of __consumer_offsets. Kafka's default is 3; one broker holds one replica.";
    offsets_topic_segment_bytes: i32 = 104_857_600, "offsets.topic.segment.bytes", AT_LEAST_ONE,
        "The segment size of __consumer_offsets.";
    transaction_max_timeout_ms: i32 = 900_000, "transaction.max.timeout.ms", AT_LEAST_ONE,
        "The longest that a producer may ask for its transactions to stay open.";
    transaction_abort_timed_out_transaction_cleanup_interval_ms: i32 = 10_000, "transaction.abort.timed.out.transaction.cleanup.interval.ms", AT_LEAST_ONE,
        "How often open transactions are checked for their timeout.";
    transactional_id_expiration_ms: i32 = 604_800_000, "transactional.id.expiration.ms", AT_LEAST_ONE,
        "How long a transactional id is remembered that nobody uses.";
    transaction_remove_expired_transaction_cleanup_interval_ms: i32 = 3_600_000, "transaction.remove.expired.transaction.cleanup.interval.ms", AT_LEAST_ONE,
        "How often transactional ids are checked for expiry.";
    transaction_state_log_num_partitions: i32 = 50, "transaction.state.log.num.partitions", AT_LEAST_ONE,
        "The partitions that __transaction_state is created with, when the first transactional id comes.";
    transaction_state_log_replication_factor: i32 = 1, "transaction.state.log.replication.factor", AT_LEAST_ONE,
        "The replication factor of __transaction_state. Kafka's default is 3; one broker holds one replica.";
    transaction_state_log_min_isr: i32 = 1, "transaction.state.log.min.isr", AT_LEAST_ONE,
        "min.insync.replicas of __transaction_state. Kafka's default is 2; one broker holds one replica.";
    transaction_state_log_segment_bytes: i32 = 104_857_600, "transaction.state.log.segment.bytes", AT_LEAST_ONE,
        "The segment size of __transaction_state.";
}

impl BrokerSettings {
    /// What is known about topics must survive what their records survive.
    pub fn durability(&self) -> Durability {
        TopicSettings::from_broker(self).log_config().durability()
    }
}

const AT_LEAST_ONE: crate::config::table::Allowed<i32> = only(|value| *value >= 1, "at least 1");
const NOT_NEGATIVE: crate::config::table::Allowed<i32> = only(|value| *value >= 0, "at least 0");
