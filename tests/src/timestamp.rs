//! Kafka's timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. Records of a test are of today: older ones fall under `retention.ms`.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_millis()).expect("it is not yet the year 292,000,000")
}
