//! Real input: the 336,776 flights that left New York in 2013, through Kafka's console producer into a stream.

use std::collections::BTreeMap;

use ottla_tests::server::can_test;
use ottla_tests::{KafkaRelease, KafkaTools, Program, Runtime, Server, Tool, install, python, streaming};

const FLIGHTS: usize = 336_776;
const TOPIC: &str = "flights";
const RAW: &str = "SELECT CAST(value AS STRING) AS flight FROM STREAM flights";
const BY_CARRIER: &str = "SELECT get_json_object(CAST(value AS STRING), '$.carrier') AS carrier, count(*) AS flights \
     FROM STREAM flights GROUP BY get_json_object(CAST(value AS STRING), '$.carrier')";

#[tokio::test(flavor = "multi_thread")]
async fn flights_of_2013() {
    if !can_test(&[Runtime::Java, Runtime::Python]) {
        return;
    }
    let server = Server::start().await;
    let servers = server.bootstrap_servers();
    let tools = KafkaTools::new(KafkaRelease::V4_3_1, servers.clone());
    let flights = program("json").await;
    assert_eq!(flights.lines().count(), FLIGHTS);
    tools.tool(Tool::Topics, &format!("--create --topic {TOPIC} --partitions 4")).await.run().await;
    tools.tool(Tool::ConsoleProducer, &format!("--topic {TOPIC}")).await.input(flights.clone()).run().await;

    let raw = streaming::available_now(RAW, &servers, &server.logs().join("raw"), &[]).await;
    let mut streamed: Vec<&str> = raw.texts("flight");
    let mut expected: Vec<&str> = flights.lines().collect();
    streamed.sort_unstable();
    expected.sort_unstable();
    assert!(streamed == expected, "{} of {FLIGHTS} flights came out, or some have changed", streamed.len());

    let complete = ["--output-mode", "complete"];
    let counted =
        streaming::available_now(BY_CARRIER, &servers, &server.logs().join("carriers"), &complete).await;
    let row = |row: &serde_json::Value| {
        (row["carrier"].as_str().expect("a text").to_owned(), row["flights"].as_u64().expect("a number"))
    };
    let counted: BTreeMap<String, u64> = counted.rows.iter().map(row).collect();
    let carriers: BTreeMap<String, u64> =
        serde_json::from_str(&program("carriers").await).expect("a JSON object");
    assert_eq!(counted, carriers);
}

async fn program(what: &str) -> String {
    let python = Program::new(python::with_only("requirements-flights.txt").await);
    let flights = install::source("python/flights.py");
    python.args([flights.as_os_str(), what.as_ref()]).run().await.stdout
}
