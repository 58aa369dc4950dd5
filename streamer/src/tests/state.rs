//! What the test kit shows of state.

use serde_json::{Value, json};

use crate::output_mode::OutputMode::{Append, Update};
use crate::test_kit::TestKit;

#[tokio::test]
async fn keys_and_values_of_each_operator_can_be_looked_at() {
    let mut kit = TestKit::new().unwrap();
    let clicks = kit.stream("clicks", "user STRING, at TIMESTAMP, n INT").unwrap();
    let aggregate = "SELECT user, sum(n) AS total FROM STREAM clicks GROUP BY user";
    let mut aggregate = kit.start(aggregate, Update).await.unwrap();
    let distinct = "SELECT DISTINCT user, at FROM STREAM clicks WATERMARK at DELAY OF INTERVAL 1 MINUTE";
    let mut distinct = kit.start(distinct, Append).await.unwrap();
    clicks
        .push(&[
            r#"{"user":"ann","at":"2026-01-01T00:00:00Z","n":1}"#,
            r#"{"user":"bob","at":"2026-01-01T00:00:01Z","n":2}"#,
            r#"{"user":"ann","at":"2026-01-01T00:00:00Z","n":3}"#,
        ])
        .unwrap();
    aggregate.process_all_available().await.unwrap();
    distinct.process_all_available().await.unwrap();
    let read = |lines: Vec<String>| -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let sums = read(aggregate.state().unwrap());
    assert_eq!([&sums[0]["key"], &sums[1]["key"]], [&json!({"user": "ann"}), &json!({"user": "bob"})]);
    let total = |row: &Value| row["value"].as_object().unwrap().values().next().cloned();
    assert_eq!([total(&sums[0]), total(&sums[1])], [Some(json!(4)), Some(json!(2))]);
    let seen = read(distinct.state().unwrap());
    let keys: Vec<_> = seen.iter().map(|row| row["key"].to_string()).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys[0].contains("ann") && keys[1].contains("bob"), "{keys:?}");
}
