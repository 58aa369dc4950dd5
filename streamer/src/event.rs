//! What happens to a query: the events of Spark's `StreamingQueryListener`, but for its progress.

use serde::Serialize;
use uuid::Uuid;

use crate::progress::iso_timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum StreamingQueryEvent {
    #[serde(rename = "QueryStartedEvent")]
    Started { id: String, run_id: String, name: Option<String>, timestamp: String },
    /// For a while there has been no data.
    #[serde(rename = "QueryIdleEvent")]
    Idle { id: String, run_id: String, timestamp: String },
    /// `exception` says why, if the query did not end by itself or because it was asked to.
    #[serde(rename = "QueryTerminatedEvent")]
    Terminated { id: String, run_id: String, exception: Option<String> },
}

impl StreamingQueryEvent {
    pub(crate) fn started(id: &str, run_id: Uuid, name: Option<String>, now_ms: i64) -> StreamingQueryEvent {
        StreamingQueryEvent::Started {
            id: id.to_owned(),
            run_id: run_id.to_string(),
            name,
            timestamp: iso_timestamp(now_ms),
        }
    }

    pub(crate) fn idle(id: &str, run_id: Uuid, now_ms: i64) -> StreamingQueryEvent {
        StreamingQueryEvent::Idle {
            id: id.to_owned(),
            run_id: run_id.to_string(),
            timestamp: iso_timestamp(now_ms),
        }
    }

    pub(crate) fn terminated(id: &str, run_id: Uuid, exception: Option<String>) -> StreamingQueryEvent {
        StreamingQueryEvent::Terminated { id: id.to_owned(), run_id: run_id.to_string(), exception }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_json_with_spark_s_fields() {
        let started = StreamingQueryEvent::started("i", Uuid::nil(), Some("words".to_owned()), 0);
        let json = r#"{"event":"QueryStartedEvent","id":"i","runId":"00000000-0000-0000-0000-000000000000","name":"words","timestamp":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(serde_json::to_string(&started).unwrap(), json);
        let ended = StreamingQueryEvent::terminated("i", Uuid::nil(), None);
        let json = r#"{"event":"QueryTerminatedEvent","id":"i","runId":"00000000-0000-0000-0000-000000000000","exception":null}"#;
        assert_eq!(serde_json::to_string(&ended).unwrap(), json);
    }
}
