//! Kafka's own command-line tools, unmodified, as a tutorial uses them: those of the newest release and those of 2021.

use ottla_tests::server::{can_test, unique};
use ottla_tests::{KafkaRelease, KafkaTools, Runtime, Server, Tool};

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_kafka_4_3_1() {
    walk_through(KafkaRelease::V4_3_1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_kafka_2_8_1() {
    walk_through(KafkaRelease::V2_8_1).await;
}

async fn walk_through(release: KafkaRelease) {
    if !can_test(&[Runtime::Java]) {
        return;
    }
    let server = Server::start().await;
    let tools = KafkaTools::new(release, server.bootstrap_servers());
    topics(&tools).await;
    let topic = unique("messages");
    produce_and_consume_in_every_codec(&tools, &topic).await;
    consumer_groups(&tools, &topic).await;
    delete_records(&tools, &topic).await;
    performance(&tools).await;
    transactions(&tools).await;
    what_the_broker_says_of_itself(&tools, &topic).await;
}

async fn topics(tools: &KafkaTools) {
    let topic = unique("topics");
    let create = format!("--create --topic {topic} --partitions 3");
    tools.tool(Tool::Topics, &create).await.run().await.expect(&format!("Created topic {topic}."));
    let again = tools.tool(Tool::Topics, &create).await.finish().await;
    assert!(!again.status.success(), "{again}");
    again.expect(&format!("Topic '{topic}' already exists"));
    tools.tool(Tool::Topics, &format!("{create} --if-not-exists")).await.run().await;

    let alter = format!("--alter --topic {topic} --partitions 4");
    tools.tool(Tool::Topics, &alter).await.run().await;
    let described = tools.tool(Tool::Topics, &format!("--describe --topic {topic}")).await.run().await;
    described.expect("PartitionCount: 4").expect("ReplicationFactor: 1");
    assert_eq!(described.stdout.matches("Leader: ").count(), 4, "{described}");

    tools.tool(Tool::Topics, &format!("--delete --topic {topic}")).await.run().await;
    let listed = tools.tool(Tool::Topics, "--list").await.run().await;
    assert!(!listed.lines().contains(&topic.as_str()), "{listed}");
}

async fn produce_and_consume_in_every_codec(tools: &KafkaTools, topic: &str) {
    tools.tool(Tool::Topics, &format!("--create --topic {topic} --partitions 1")).await.run().await;
    let mut expected = Vec::new();
    // The console producer of 2021 writes no headers.
    let headers = tools.release == KafkaRelease::V4_3_1;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let options = format!("--topic {topic} --compression-codec {codec} --property parse.key=true");
        let options = format!("{options} --property key.separator=| --property parse.headers={headers}");
        let line = |at: usize| match headers {
            true => format!("codec:{codec},n:{at}\tkey {at}|hello from {codec} {at}\n"),
            false => format!("key {at}|hello from {codec} {at}\n"),
        };
        let lines: String = (0..20).map(line).collect();
        tools.tool(Tool::ConsoleProducer, &options).await.input(lines).run().await;
        for at in 0..20 {
            let (offset, written) =
                (expected.len(), if headers { &format!("codec:{codec},n:{at}") } else { "NO_HEADERS" });
            expected
                .push(format!("Partition:0\tOffset:{offset}\t{written}\tkey {at}\thello from {codec} {at}"));
        }
    }
    let print = "--property print.key=true --property print.headers=true --property print.partition=true";
    let options =
        format!("--topic {topic} --from-beginning --max-messages 100 {print} --property print.offset=true");
    let consumed = tools.tool(Tool::ConsoleConsumer, &options).await.run().await;
    let records: Vec<&str> =
        consumed.lines().into_iter().filter(|line| line.starts_with("Partition:")).collect();
    assert_eq!(records, expected, "{consumed}");
    consumed.expect("Processed a total of 100 messages");
}

async fn consumer_groups(tools: &KafkaTools, topic: &str) {
    let group = unique("group");
    let options = format!("--topic {topic} --group {group} --from-beginning --max-messages 30");
    tools.tool(Tool::ConsoleConsumer, &options).await.run().await.expect("Processed a total of 30 messages");
    let listed = tools.tool(Tool::ConsumerGroups, "--list").await.run().await;
    assert!(listed.lines().contains(&group.as_str()), "{listed}");
    assert_eq!(offset_and_lag(tools, &group, topic).await, (30, 70));

    // The group goes on where it stopped.
    let options = format!("--topic {topic} --group {group} --max-messages 70");
    let rest = tools.tool(Tool::ConsoleConsumer, &options).await.run().await;
    assert!(rest.lines().contains(&"hello from gzip 10"), "{rest}");
    assert!(!rest.lines().contains(&"hello from gzip 9"), "{rest}");
    assert_eq!(offset_and_lag(tools, &group, topic).await, (100, 0));

    let reset = format!("--reset-offsets --group {group} --topic {topic} --to-offset 5 --execute");
    tools.tool(Tool::ConsumerGroups, &reset).await.run().await;
    assert_eq!(offset_and_lag(tools, &group, topic).await, (5, 95));

    let delete = format!("--delete --group {group}");
    let deleted = tools.tool(Tool::ConsumerGroups, &delete).await.run().await;
    deleted.expect(&format!("Deletion of requested consumer groups ('{group}') was successful."));
    let listed = tools.tool(Tool::ConsumerGroups, "--list").await.run().await;
    assert!(!listed.lines().contains(&group.as_str()), "{listed}");
}

/// The topic has 100 records.
async fn delete_records(tools: &KafkaTools, topic: &str) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let partition = format!(r#"{{"topic":"{topic}","partition":0,"offset":40}}"#);
    let asked = format!(r#"{{"version":1,"partitions":[{partition}]}}"#);
    std::fs::write(file.path(), asked).expect("a file to write to");
    let options = format!("--offset-json-file {}", file.path().display());
    let deleted = tools.tool(Tool::DeleteRecords, &options).await.run().await;
    deleted.expect(&format!("partition: {topic}-0\tlow_watermark: 40"));
    let earliest = tools.tool(Tool::GetOffsets, &format!("--topic {topic} --time -2")).await.run().await;
    earliest.expect(&format!("{topic}:0:40"));
}

/// What `--describe` says of the group's only partition.
async fn offset_and_lag(tools: &KafkaTools, group: &str, topic: &str) -> (i64, i64) {
    let described =
        tools.tool(Tool::ConsumerGroups, &format!("--describe --group {group}")).await.run().await;
    let rows = described.lines().into_iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.starts_with(&[group, topic, "0"]));
    let number = |at: usize| row.as_ref().and_then(|row| row.get(at)).and_then(|column| column.parse().ok());
    let (Some(offset), Some(lag)) = (number(3), number(5)) else {
        panic!("no offset and lag in {described}")
    };
    (offset, lag)
}

async fn performance(tools: &KafkaTools) {
    let (topic, servers) = (unique("performance"), &tools.bootstrap_servers);
    tools.tool(Tool::Topics, &format!("--create --topic {topic} --partitions 2")).await.run().await;
    let options = format!(
        "--topic {topic} --num-records 50000 --record-size 100 --throughput -1 --producer-props bootstrap.servers={servers}"
    );
    tools.tool(Tool::ProducerPerfTest, &options).await.run().await.expect("50000 records sent");

    let offsets = tools.tool(Tool::GetOffsets, &format!("--topic {topic} --time -1")).await.run().await;
    let ends = offsets
        .lines()
        .into_iter()
        .filter_map(|line| line.strip_prefix(&format!("{topic}:"))?.split_once(':'));
    let ends: Vec<i64> = ends.map(|(_, offset)| offset.parse().expect("an offset")).collect();
    assert_eq!((ends.len(), ends.iter().sum()), (2, 50_000), "{offsets}");

    let consumed =
        tools.tool(Tool::ConsumerPerfTest, &format!("--topic {topic} --messages 50000")).await.run().await;
    let row = consumed.lines().into_iter().rfind(|line| line.starts_with("20")).unwrap_or_default();
    assert_eq!(row.split(", ").nth(4), Some("50000"), "{consumed}");

    let topic = unique("latency");
    let options = match tools.release {
        KafkaRelease::V4_3_1 => {
            format!("--topic {topic} --num-records 200 --producer-acks 1 --record-size 100")
        }
        KafkaRelease::V2_8_1 => format!("{servers} {topic} 200 1 100"),
    };
    tools
        .tool(Tool::EndToEndLatency, &options)
        .await
        .run()
        .await
        .expect("Avg latency: ")
        .expect("Percentiles: ");
}

/// Many transactions, one after the other; a reader of committed records gets each record once, and no marker.
async fn transactions(tools: &KafkaTools) {
    let (topic, id, servers) = (unique("transactional"), unique("tx"), &tools.bootstrap_servers);
    tools.tool(Tool::Topics, &format!("--create --topic {topic} --partitions 1")).await.run().await;
    let options = format!(
        "--topic {topic} --num-records 5000 --record-size 100 --throughput -1 --transactional-id {id} \
         --transaction-duration-ms 1 --producer-props bootstrap.servers={servers}"
    );
    tools.tool(Tool::ProducerPerfTest, &options).await.run().await.expect("5000 records sent");
    let options =
        format!("--topic {topic} --from-beginning --max-messages 5000 --isolation-level read_committed");
    let consumed = tools.tool(Tool::ConsoleConsumer, &options).await.run().await;
    consumed.expect("Processed a total of 5000 messages");
    let offsets = tools.tool(Tool::GetOffsets, &format!("--topic {topic} --time -1")).await.run().await;
    let end = offsets.stdout.trim().rsplit(':').next().and_then(|end| end.parse::<u64>().ok());
    assert!(end.is_some_and(|end| end > 5_001), "each transaction ends with a marker: {offsets}");
}

async fn what_the_broker_says_of_itself(tools: &KafkaTools, topic: &str) {
    let versions = tools.tool(Tool::BrokerApiVersions, "").await.run().await;
    // Not UNKNOWN or UNSUPPORTED: the tool can use what both know.
    for api in ["Produce(0): ", "Fetch(1): ", "JoinGroup(11): ", "CreateTopics(19): ", "InitProducerId(22): "]
    {
        let line = versions.lines().into_iter().find(|line| line.trim().starts_with(api));
        assert!(line.is_some_and(|line| line.contains("[usable: ")), "{api}: {versions}");
    }
    let configs = tools.tool(Tool::Configs, &format!("--describe --topic {topic} --all")).await.run().await;
    configs
        .expect("retention.ms=604800000")
        .expect("max.message.bytes=1048588")
        .expect("cleanup.policy=delete");
}
