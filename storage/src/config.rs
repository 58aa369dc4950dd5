//! The settings of one log, resolved from topic and broker settings by whoever opens it.

use std::time::Duration;

use ottla_protocol::batch::TimestampType;

/// Named after Kafka's topic settings, whose documentation applies. Replaceable while the log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`: a segment is closed up to this much earlier, so that not all close at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: of a batch as it came, compressed or not.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `delete`: segments go by age and size.
    pub deletes: bool,
    /// `retention.ms`: −1 is for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: −1 is without limit.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `compact`: a record without a key is refused.
    pub compacted: bool,
    /// `flush.messages`: this many records may be acknowledged before they are on the disk; 1 is none.
    pub flush_messages: i64,
    /// `flush.ms`: so long may they lie in the page cache alone.
    pub flush_ms: i64,
}

/// What the directory's own files survive: what is there about topics, and how its logs were left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends.
    #[default]
    Process,
    /// Also the end of the power.
    Power,
}

impl LogConfig {
    /// Whether acknowledged records survive a power cut, at once or after a time. Else they survive the end of the
    /// process, however it ends: they are in the page cache, and the operating system writes them when it likes.
    pub fn survives_power_cut(&self) -> bool {
        self.flush_messages < i64::MAX || self.flush_ms < i64::MAX
    }

    /// What else must survive.
    pub fn durability(&self) -> Durability {
        if self.survives_power_cut() { Durability::Power } else { Durability::Process }
    }

    /// Positions in index files are 31 bits.
    pub(crate) fn max_segment_bytes(&self) -> usize {
        self.segment_bytes.min(i32::MAX as u32) as usize
    }
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> LogConfig {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: WEEK.as_millis() as i64,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 60 * 60 * 1000,
            deletes: true,
            retention_ms: WEEK.as_millis() as i64,
            retention_bytes: -1,
            compacted: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
        }
    }
}
