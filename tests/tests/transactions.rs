//! Transactions as Kafka's own producers and tools have them: of today, and from before KIP-890.

use std::path::Path;

use ottla_client::{Client, ClientConfig};
use ottla_tests::server::{can_test, unique};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{Agent, ClientLibrary, KafkaRelease, KafkaTools, Record, Runtime, Server, Tool};

#[tokio::test(flavor = "multi_thread")]
async fn producers_of_kafka_4_3_1() {
    check_producers(KafkaRelease::V4_3_1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_of_kafka_2_8_1() {
    check_producers(KafkaRelease::V2_8_1).await;
}

async fn check_producers(release: KafkaRelease) {
    if !can_test(&[Runtime::Java]) {
        return;
    }
    let mut server = Server::start().await;
    let (topic, group) = (unique("topic"), unique("group"));
    let mut producer = agent(release, &server).await;
    producer.create_topic(&topic, 2).await;
    for (text, committed) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        transaction(&mut producer, &topic, text).await;
        end(&mut producer, committed).await;
    }
    transaction(&mut producer, &topic, "e").await;
    producer.send_offsets("tx", &group, &topic, &[(0, 3), (1, 4)]).await;
    assert!(committed_offsets(&server, &group).await.is_empty());
    server.restart().await;
    assert!(committed_offsets(&server, &group).await.is_empty());
    end(&mut producer, true).await;
    assert_eq!(committed_offsets(&server, &group).await, [3, 4]);

    transaction(&mut producer, &topic, "f").await;
    let mut successor = agent(release, &server).await;
    transaction(&mut successor, &topic, "g").await;
    let fenced = producer.commit_transaction_error("tx").await;
    assert!(fenced.contains("Fenced") || fenced.contains("epoch"), "{fenced}");
    end(&mut successor, true).await;
    assert_eq!(read_committed(&server, &topic, 8).await, ["a0", "a1", "c0", "c1", "e0", "e1", "g0", "g1"]);
}

async fn agent(release: KafkaRelease, server: &Server) -> Agent {
    let logs: &Path = server.logs();
    ClientLibrary::Java(release).start(&server.bootstrap_servers(), logs).await
}

/// A transaction with a record for each of two partitions.
async fn transaction(producer: &mut Agent, topic: &str, text: &str) {
    producer.begin("tx").await;
    let record = |partition| Record {
        partition,
        offset: -1,
        timestamp: now_ms(),
        key: None,
        value: Some(format!("{text}{partition}")),
        headers: Vec::new(),
    };
    producer.send("tx", topic, &[record(0), record(1)]).await;
}

async fn end(producer: &mut Agent, committed: bool) {
    if committed {
        producer.commit_transaction("tx").await;
    } else {
        producer.abort_transaction("tx").await;
    }
}

async fn committed_offsets(server: &Server, group: &str) -> Vec<i64> {
    let client = Client::connect(ClientConfig::new(server.bootstrap_servers())).await.expect("it serves");
    let committed = client.fetch_all_offsets(group).await.expect("it coordinates groups");
    committed.into_iter().map(|committed| committed.offset).collect()
}

/// The first `count` values that a consumer of committed records gets, in the order of their texts.
async fn read_committed(server: &Server, topic: &str, count: usize) -> Vec<String> {
    let tools = KafkaTools::new(KafkaRelease::V4_3_1, server.bootstrap_servers());
    let options =
        format!("--topic {topic} --from-beginning --max-messages {count} --isolation-level read_committed");
    let consumed = tools.tool(Tool::ConsoleConsumer, &options).await.run().await;
    let mut values: Vec<_> = consumed.lines().into_iter().map(str::to_owned).collect();
    values.retain(|line| line.len() == 2);
    values.sort();
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_transactions_finds_and_aborts_what_hangs() {
    if !can_test(&[Runtime::Java]) {
        return;
    }
    let mut server = Server::start().await;
    let tools = KafkaTools::new(KafkaRelease::V4_3_1, server.bootstrap_servers());
    let topic = unique("topic");
    let mut producer = agent(KafkaRelease::V4_3_1, &server).await;
    producer.create_topic(&topic, 2).await;
    transaction(&mut producer, &topic, "a").await;

    let run = async |options: &str| tools.tool(Tool::Transactions, options).await.run().await;
    let row = |text: &str, first: &str| -> Vec<String> {
        let rows = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.into_iter().find(|row| row.first().is_some_and(|column| column == first)).unwrap_or_default()
    };
    let listed = run("list").await.text();
    assert_eq!(row(&listed, "tx").last().map(String::as_str), Some("Ongoing"), "{listed}");
    let described = run("describe --transactional-id tx").await;
    described.expect("Ongoing").expect(&format!("{topic}-0")).expect(&format!("{topic}-1"));
    let producer_id = row(&listed, "tx")[2].clone();
    let describe_producers = format!("describe-producers --topic {topic} --partition 0");
    let open = row(&run(&describe_producers).await.text(), &producer_id);
    assert_eq!(open.last().map(String::as_str), Some("0"), "the transaction began at offset 0");
    let find_hanging = "find-hanging --broker-id 1 --max-transaction-timeout 0";
    assert_eq!(row(&run(find_hanging).await.text(), &topic), Vec::<String>::new());

    // A coordinator that has lost its log leaves transactions that nobody ends.
    producer.kill().await;
    let delete = "--delete --topic __transaction_state";
    tools.tool(Tool::Topics, delete).await.run().await;
    server.restart().await;
    let hanging = run(find_hanging).await.text();
    assert_eq!(row(&hanging, &topic).get(2), Some(&producer_id), "{hanging}");
    for partition in [0, 1] {
        run(&format!("abort --topic {topic} --partition {partition} --start-offset 0")).await;
    }
    assert_eq!(row(&run(find_hanging).await.text(), &topic), Vec::<String>::new());
    let closed = row(&run(&describe_producers).await.text(), &producer_id);
    assert_eq!(closed.last().map(String::as_str), Some("None"));

    let mut producer = agent(KafkaRelease::V4_3_1, &server).await;
    transaction(&mut producer, &topic, "b").await;
    end(&mut producer, true).await;
    assert_eq!(read_committed(&server, &topic, 2).await, ["b0", "b1"]);
}
