//! Tables that a query reads without STREAM: each batch sees what is there then.

use std::fs;

use crate::job_file::Bench;

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_whole_by_each_batch() {
    let bench = Bench::start().await;
    for topic in ["orders", "names"] {
        bench.kafka.create(topic, 2).await;
    }
    bench.kafka.put("names", 0, ["1 ann"]).await;
    bench.kafka.put("orders", 0, ["1", "2"]).await;
    let job = "CREATE TABLE names USING kafka OPTIONS (subscribe 'names');
        CREATE TEMPORARY VIEW known AS SELECT split_part(CAST(value AS STRING), ' ', 1) AS id,
          split_part(CAST(value AS STRING), ' ', 2) AS name FROM names;
        SELECT CAST(o.value AS STRING) AS id, name FROM STREAM orders o
          LEFT JOIN known k ON CAST(o.value AS STRING) = k.id;";
    let flags = ["--starting-offsets", "earliest"];
    let first = bench.run(job, &flags).succeeded();
    assert_eq!(sorted(first.rows()), [r#"{"id":"1","name":"ann"}"#, r#"{"id":"2"}"#]);
    bench.kafka.put("names", 1, ["2 bob"]).await;
    bench.kafka.put("orders", 1, ["2"]).await;
    assert_eq!(bench.run(job, &flags).succeeded().rows(), [r#"{"id":"2","name":"bob"}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_from_and_to_the_offsets_that_its_table_says() {
    let bench = Bench::start().await;
    for topic in ["ticks", "letters"] {
        bench.kafka.create(topic, 1).await;
    }
    bench.kafka.put("letters", 0, ["a", "b", "c", "d"]).await;
    bench.kafka.put("ticks", 0, ["x"]).await;
    let run = |options: &str| {
        let _ = fs::remove_dir_all(bench.path("cp"));
        let job = format!(
            "CREATE TABLE letters USING kafka OPTIONS (subscribe 'letters'{options});
             SELECT CAST(l.value AS STRING) AS v FROM STREAM ticks CROSS JOIN letters l;"
        );
        bench.run(&job, &["--starting-offsets", "earliest"])
    };
    for (options, letters) in [
        ("", "abcd"),
        (r#", startingOffsets '{"letters":{"0":1}}', endingOffsets '{"letters":{"0":3}}'"#, "bc"),
        (r#", startingOffsets '{"letters":{"0":-2}}', endingOffsets '{"letters":{"0":-1}}'"#, "abcd"),
        (", startingTimestamp '1', endingTimestamp '9999999999999'", "abcd"),
        (", endingTimestamp '1'", ""),
    ] {
        let expected: Vec<_> = letters.chars().map(|letter| format!("{{\"v\":\"{letter}\"}}")).collect();
        assert_eq!(run(options).succeeded().rows(), expected, "{options}");
    }
    for (options, message) in [
        (", startingOffsets 'latest'", "starting offset can't be latest for batch queries on Kafka"),
        (", endingOffsets 'earliest'", "ending offset can't be earliest for batch queries on Kafka"),
        (
            r#", startingOffsets '{"letters":{"0":-1}}'"#,
            "startingOffsets for letters-0 can't be latest for batch queries on Kafka",
        ),
        (r#", endingOffsets '{"letters":{"0":-2}}'"#, "endingOffsets for letters-0 can't be earliest"),
    ] {
        let refused = run(options);
        assert_eq!(refused.output.status.code(), Some(1), "{options}");
        assert!(refused.stderr().contains(message), "{options}: {}", refused.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_the_columns_that_are_declared_or_those_that_they_show() {
    let bench = Bench::start().await;
    bench.kafka.create("ticks", 1).await;
    bench.kafka.put("ticks", 0, ["x"]).await;
    let files = bench.path("the files");
    fs::create_dir(&files).unwrap();
    let write = |name: &str, text: &str| fs::write(files.join(name), text).unwrap();
    write("days.csv", "id;day\n1;31.12.2025\n2;no day\n");
    write("typed.csv", "id,at,price\n1,2026-01-01 10:00:00,1.5\n3000000000,2026-01-01,2\n");
    write("records.json", "{\"b\":1,\"a\":{\"x\":[1]}}\n{\"b\":2.5}\n");
    write("lines.txt", "one\r\ntwo\n");
    let typed = "OPTIONS (path '<F>/typed.csv', header true, inferSchema true)";
    for (view, rows) in [
        (
            "(id INT, day DATE) USING csv OPTIONS (path '<F>/days.csv', sep ';', header true, dateFormat 'dd.MM.yyyy')",
            &[r#"{"id":1,"day":"2025-12-31"}"#, r#"{"id":2}"#][..],
        ),
        (
            &format!("USING csv {typed}"),
            &[
                r#"{"id":1,"at":"2026-01-01T10:00:00.000Z","price":1.5}"#,
                r#"{"id":3000000000,"at":"2026-01-01T00:00:00.000Z","price":2.0}"#,
            ],
        ),
        ("USING json OPTIONS (path '<F>/records.json')", &[r#"{"a":{"x":[1]},"b":1.0}"#, r#"{"b":2.5}"#]),
        ("USING text OPTIONS (path '<F>/lines.txt')", &[r#"{"value":"one"}"#, r#"{"value":"two"}"#]),
    ] {
        let _ = fs::remove_dir_all(bench.path("cp"));
        let view = view.replace("<F>", &files.display().to_string().replace('\\', "\\\\"));
        let job = format!(
            "SET TIME ZONE 'UTC';
             CREATE TEMPORARY VIEW t {view};
             SELECT t.* FROM STREAM ticks CROSS JOIN t;"
        );
        let run = bench.run(&job, &["--starting-offsets", "earliest"]).succeeded();
        assert_eq!(sorted(run.rows()), rows, "{view}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_query_of_the_job_writes_is_read_whole() {
    let bench = Bench::start().await;
    for topic in ["names", "orders", "known"] {
        bench.kafka.create(topic, 1).await;
    }
    bench.kafka.put("names", 0, ["1 ann", "2 bob"]).await;
    bench.kafka.put("orders", 0, ["2", "3"]).await;
    let folder = bench.path("known").display().to_string().replace('\\', "\\\\");
    for (target, columns, read) in [
        (format!("json OPTIONS (path '{folder}')"), ["id", "name"], ["id", "name"]),
        (
            "kafka OPTIONS (topic 'known')".to_owned(),
            ["key", "value"],
            ["CAST(key AS STRING)", "CAST(value AS STRING)"],
        ),
    ] {
        let ([key, value], [id, name]) = (columns, read);
        let job = format!(
            "CREATE STREAMING TABLE known USING {target} AS SELECT split_part(CAST(value AS STRING), ' ', 1) AS {key},
               split_part(CAST(value AS STRING), ' ', 2) AS {value} FROM STREAM names;
             SELECT CAST(o.value AS STRING) AS id, n.name FROM STREAM orders o
               LEFT JOIN (SELECT {id} AS id, {name} AS name FROM known) n ON CAST(o.value AS STRING) = n.id;"
        );
        let run = bench.run(&job, &["--starting-offsets", "earliest"]).succeeded();
        assert_eq!(sorted(run.rows()), [r#"{"id":"2","name":"bob"}"#, r#"{"id":"3"}"#], "{target}");
        fs::remove_dir_all(bench.path("cp")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_whole_is_refused() {
    let bench = Bench::start().await;
    for (view, message) in [
        ("USING rate", "a table of the format rate has no end"),
        ("USING json OPTIONS (path 'nowhere')", "[PATH_NOT_FOUND] Path does not exist: nowhere"),
        ("USING orc OPTIONS (path 'x')", "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: orc"),
        ("(a INT) USING kafka OPTIONS (subscribe 'x')", "Kafka source has a fixed schema"),
    ] {
        let run = bench.run(&format!("CREATE TEMPORARY VIEW t {view}; SELECT * FROM STREAM s, t;"), &[]);
        assert_eq!(run.output.status.code(), Some(1), "{view}");
        assert!(run.stderr().contains(message), "{view}: {}", run.stderr());
    }
}
