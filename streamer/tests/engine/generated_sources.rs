//! Sources that need nothing else: rate, rate-micro-batch and socket. What they give is what PySpark 4.1.1 gave.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

use ottla_stream::options::Options;
use ottla_stream::output_mode::OutputMode::Append;
use ottla_stream::source;
use ottla_stream::test_kit::TestKit;
use tempfile::tempdir;

fn kit(name: &str, format: &str, options: &[(&str, &str)]) -> TestKit {
    let mut kit = TestKit::new().unwrap();
    let options = Options::from_iter(options.iter().copied());
    kit.declare(name, source::define(format, &options, None, "UTC").unwrap());
    kit
}

fn last_line(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn each_micro_batch_has_the_same_number_of_rows_and_one_time() {
    let checkpoint = tempdir().unwrap();
    let options = [
        ("rowsPerBatch", "5"),
        ("numPartitions", "2"),
        ("startTimestamp", "1000"),
        ("advanceMillisPerBatch", "50"),
    ];
    let kit = kit("r", "rate-micro-batch", &options);
    let run = || kit.run_available_now("SELECT * FROM STREAM r", Append, checkpoint.path());
    let rows = |time: &str, values: [i64; 5]| {
        vec![
            values
                .map(|value| format!("{{\"timestamp\":\"1970-01-01T00:00:01.{time}Z\",\"value\":{value}}}"))
                .to_vec(),
        ]
    };
    assert_eq!(run().await.unwrap(), rows("000", [0, 2, 4, 1, 3]));
    assert_eq!(run().await.unwrap(), rows("050", [5, 7, 9, 6, 8]));
    assert_eq!(last_line(&checkpoint.path().join("offsets/1")), r#"{"offset":10,"timestamp":1100}"#);
}

#[tokio::test]
async fn the_rate_goes_on_from_the_second_that_was_logged() {
    let checkpoint = tempdir().unwrap();
    // A query that began ten seconds ago in a Spark, and has read two of them.
    let began_ms = chrono::Utc::now().timestamp_millis() - 10_000;
    for (path, text) in [
        ("metadata", "{\"id\":\"f3c52ace-4351-4b3c-9498-16680cea0b94\"}".to_owned()),
        ("sources/0/0", format!("v1\n{began_ms}")),
        ("offsets/0", "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1,\"conf\":{}}\n2".to_owned()),
        ("commits/0", "v1\n{\"nextBatchWatermarkMs\":0}".to_owned()),
    ] {
        let path = checkpoint.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let kit = kit("r", "rate", &[("rowsPerSecond", "3"), ("numPartitions", "1")]);
    let sql = "SELECT value, unix_millis(timestamp) AS ms FROM STREAM r";
    let batches = kit.run_available_now(sql, Append, checkpoint.path()).await.unwrap();
    let end: i64 = last_line(&checkpoint.path().join("offsets/1")).parse().unwrap();
    let rows = &batches[0];
    assert!(end >= 10 && rows.len() as i64 == 3 * (end - 2), "{end}: {rows:?}");
    let begin_ms = began_ms + 2_000;
    let expected = [(6, 0), (7, 333), (8, 667), (9, 1_000)]
        .map(|(value, ms)| format!("{{\"value\":{value},\"ms\":{}}}", begin_ms + ms));
    assert_eq!(rows[..4], expected);
}

#[tokio::test]
async fn lines_from_a_socket_are_rows_until_the_query_is_started_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut kit = kit("lines", "socket", &[("host", "127.0.0.1"), ("port", &port)]);
    let unread = kit.stream("unread", "a INT").unwrap();
    let sql = "SELECT value, 0 AS a FROM STREAM lines UNION ALL SELECT 'pushed', a FROM STREAM unread";
    let mut query = kit.start(sql, Append).await.unwrap();
    let (mut connection, _) = tokio::task::spawn_blocking(move || listener.accept().unwrap()).await.unwrap();
    connection.write_all("Größe\r\n\nlast without end".as_bytes()).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut seen = Vec::new();
    // The socket says nothing of when all has come; each row that is pushed makes a batch.
    while seen.len() < 3 {
        unread.push(&[r#"{"a":1}"#]).unwrap();
        let rows = query.process_all_available().await.unwrap();
        seen.extend(rows.into_iter().filter(|row| !row.contains("pushed")));
    }
    assert_eq!(
        seen,
        [r#"{"value":"Größe","a":0}"#, r#"{"value":"","a":0}"#, r#"{"value":"last without end","a":0}"#]
    );
    let stopped = query.stop().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut again = self::kit("lines", "socket", &[("host", "127.0.0.1"), ("port", &port)]);
    again.stream("unread", "a INT").unwrap();
    let error = again.run_available_now(sql, Append, stopped.checkpoint()).await.unwrap_err().to_string();
    assert!(error.contains("a socket source cannot go on from a checkpoint"), "{error}");
    drop(listener);
}
