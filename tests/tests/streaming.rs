//! The streaming engine and the broker, started, stopped and killed in any order.

use ottla_broker::listener::ListenAddress;
use ottla_broker::{Broker, Config};
use ottla_client::{Acks, Client, ClientConfig};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::Server;
use ottla_tests::server::unique;
use ottla_tests::streaming::{RunningQuery, available_now};
use ottla_tests::timestamp::now_ms;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_stream_goes_on_after_its_last_commit() {
    let server = Server::start().await;
    let servers = server.bootstrap_servers();
    let (topic, checkpoint) = (unique("killed-stream"), server.logs().join("checkpoint"));
    let sql = select_from(&topic);
    produce(&servers, &topic, &["one", "two", "three"]).await;

    let mut query = RunningQuery::start(&sql, &servers, &checkpoint).await;
    assert_eq!(query.rows(3).await.texts("message"), ["one", "two", "three"]);
    produce(&servers, &topic, &["four"]).await;
    assert_eq!(query.rows(1).await.texts("message"), ["four"]);
    query.kill().await;

    produce(&servers, &topic, &["five", "six"]).await;
    let rest = available_now(&sql, &servers, &checkpoint, &[]).await;
    assert_eq!(rest.texts("message"), ["five", "six"]);
    let nothing = available_now(&sql, &servers, &checkpoint, &[]).await;
    assert!(nothing.rows.is_empty(), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_its_broker_and_outlives_its_restart() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = |port| {
        let listen = ListenAddress { host: "127.0.0.1".to_owned(), port };
        Config::default().with_listeners(vec![listen]).with_data_dir(dir.path().join("data"))
    };
    let broker = Broker::start(config(0)).await.expect("the broker starts");
    let servers = broker.bootstrap_servers();
    let port = servers.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("host:port");
    produce(&servers, "early", &["one"]).await;
    broker.shutdown().await;

    let mut query =
        RunningQuery::start(&select_from("early"), &servers, &dir.path().join("checkpoint")).await;
    let message = query.message().await.unwrap_or_default();
    assert!(message.contains("waiting for a broker") && message.contains(&servers), "{message}");

    let broker = Broker::start(config(port)).await.expect("the broker starts again");
    assert_eq!(query.rows(1).await.texts("message"), ["one"]);
    broker.shutdown().await;
    let _broker = Broker::start(config(port)).await.expect("the broker starts a third time");
    produce(&servers, "early", &["two"]).await;
    assert_eq!(query.rows(1).await.texts("message"), ["two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_sql_is_shown_with_its_line() {
    let server = Server::start().await;
    let stream =
        ottla_tests::Program::new(ottla_tests::binary::ottla_stream().await).shown_as("ottla-stream");
    let sql = "SELECT value\nFROM STREAM messages\nWHERE value = = 1";
    let finished =
        stream.args(["sql", sql, "--bootstrap-server"]).args([server.bootstrap_servers()]).finish().await;
    assert!(!finished.status.success(), "{finished}");
    finished.expect("line 3");
}

fn select_from(topic: &str) -> String {
    format!("SELECT CAST(value AS STRING) AS message FROM STREAM `{topic}`")
}

/// A record for each value, in one batch, to partition 0 of a topic that is made where it is not there.
async fn produce(bootstrap_servers: &str, topic: &str, values: &[&str]) {
    let client = Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves");
    let mut batch = BatchBuilder::new(Compression::None);
    for value in values {
        batch.push(now_ms(), None, Some(value.as_bytes())).expect("small records");
    }
    let batch = batch.build().expect("a batch of small records");
    client.produce(topic, 0, batch, Acks::All).await.expect("the broker takes a batch");
}
