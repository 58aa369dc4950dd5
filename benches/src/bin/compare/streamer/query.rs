//! The queries: one text for both engines.

use super::topics::Topic;

/// What an engine runs, from the topic's beginning to its end.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) topic: Topic,
    pub(super) sql: String,
    pub(super) sink: &'static str,
    pub(super) output_mode: &'static str,
    pub(super) max_offsets_per_trigger: Option<u64>,
}

const FIELDS: &str = "id BIGINT, key STRING, amount DOUBLE, ts TIMESTAMP";

fn events(topic: Topic) -> String {
    format!(
        "SELECT event.id AS id, event.key AS key, event.amount AS amount, event.ts AS ts \
         FROM (SELECT from_json(CAST(value AS STRING), '{FIELDS}') AS event FROM STREAM {})",
        topic.name()
    )
}

impl Query {
    fn new(topic: Topic, sql: String) -> Query {
        Query { topic, sql, sink: "noop", output_mode: "append", max_offsets_per_trigger: None }
    }

    pub(super) fn with_batches_of(self, records: u64) -> Query {
        Query { max_offsets_per_trigger: Some(records), ..self }
    }

    /// Rows as they are, on the console.
    pub(super) fn shown(topic: Topic) -> Query {
        let sql = format!("SELECT CAST(value AS STRING) AS value FROM STREAM {}", topic.name());
        Query { sink: "console", ..Query::new(topic, sql) }
    }

    /// A tenth of the records, with two of their four fields.
    pub(super) fn filtered(topic: Topic) -> Query {
        let sql = format!("SELECT id, amount FROM ({}) WHERE amount >= 90", events(topic));
        Query::new(topic, sql)
    }

    /// Results are final: each window once, when the watermark has passed it.
    pub(super) fn windowed(topic: Topic) -> Query {
        let sql = format!(
            "SELECT window.start AS start, key, count(*) AS records, avg(amount) AS mean \
             FROM ({}) WATERMARK ts DELAY OF INTERVAL 10 SECONDS \
             GROUP BY window(ts, '10 seconds'), key",
            events(topic)
        );
        Query::new(topic, sql)
    }

    /// A group a record.
    pub(super) fn counted_by_id(topic: Topic) -> Query {
        let sql = format!("SELECT id, count(*) AS records FROM ({}) GROUP BY id", events(topic));
        Query { output_mode: "update", ..Query::new(topic, sql) }
    }
}
