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
    /// `cleanup.policy` contains `compact`: a record without a key is refused.
    pub compacted: bool,
    pub durability: Durability,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends: records are in the page cache before they are acknowledged, and the
    /// operating system writes them when it likes.
    #[default]
    Process,
}

impl LogConfig {
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
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 60 * 60 * 1000,
            compacted: false,
            durability: Durability::Process,
        }
    }
}
