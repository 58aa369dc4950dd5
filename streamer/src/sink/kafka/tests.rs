//! The sink with a broker in the same process.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Int32Array, ListBuilder, RecordBatch, StringArray, StringBuilder, StructBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use ottla_broker::{Broker, Config};
use ottla_client::{Fetch, FetchPartition, IsolationLevel, NewTopic};

use super::*;
use crate::sink::test_batches::{context, of, stream_of};

struct Kafka {
    broker: Broker,
    client: Client,
}

impl Kafka {
    async fn start(topics: &[(&str, i32)]) -> Kafka {
        let broker = Broker::start(Config::ephemeral()).await.unwrap();
        let client = Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.unwrap();
        for (topic, partitions) in topics {
            let topic = NewTopic::new(*topic).with_partitions(*partitions);
            client.create_topics(&[topic]).await.unwrap()[0].result.clone().unwrap();
        }
        Kafka { broker, client }
    }

    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> KafkaSink {
        let mut context = context(std::path::Path::new("unused"), schema);
        context.bootstrap_servers = self.broker.bootstrap_servers();
        KafkaSink::new(&Options::from_iter(options.iter().copied()), &context).unwrap()
    }

    /// The committed records of a partition: key, value, and headers.
    async fn records(&self, topic: &str, partition: i32) -> Vec<(Option<String>, Option<String>, usize)> {
        let fetch = Fetch {
            partitions: vec![FetchPartition {
                topic: topic.to_owned(),
                partition,
                offset: 0,
                max_bytes: 8 << 20,
            }],
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: 8 << 20,
            isolation_level: IsolationLevel::ReadCommitted,
        };
        let fetched = self.client.fetch(&fetch).await.unwrap().remove(0);
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let mut read = Vec::new();
        for batch in fetched.committed_batches() {
            let records = batch.unwrap().records(8 << 20).unwrap();
            for record in &records {
                let record = record.unwrap();
                read.push((text(record.key), text(record.value), record.headers.count()));
            }
        }
        read
    }

    async fn values(&self, topic: &str) -> Vec<String> {
        let records = self.records(topic, 0).await;
        records.into_iter().map(|(_, value, _)| value.unwrap()).collect()
    }
}

fn values_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("value", DataType::Utf8, true)]))
}

fn values_batch(id: u64, values: &[&str]) -> SinkBatch {
    let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let rows = RecordBatch::try_new(values_schema(), vec![column]).unwrap();
    let mut batch = of(id, values_schema(), vec![stream_of(rows)]);
    batch.end_offsets = vec![Some(format!("{{\"source\":{{\"0\":{}}}}}", 10 * (id + 1)))];
    batch
}

const EXACTLY_ONCE: &[(&str, &str)] = &[("topic", "out"), ("exactlyOnce", "true")];

#[tokio::test]
async fn columns_make_records_as_spark_s_do() {
    let kafka = Kafka::start(&[("a", 2), ("b", 1)]).await;
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Binary, true),
    ]);
    let mut headers = ListBuilder::new(StructBuilder::from_fields(fields, 1));
    headers.values().field_builder::<StringBuilder>(0).unwrap().append_value("h");
    headers.values().field_builder::<datafusion::arrow::array::BinaryBuilder>(1).unwrap().append_null();
    headers.values().append(true);
    headers.append(true);
    headers.append(false);
    headers.append(true);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("topic", Arc::new(StringArray::from(vec!["a", "a", "b"]))),
        ("key", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"k"), None, None]))),
        ("value", Arc::new(StringArray::from(vec![Some("1"), None, Some("3")]))),
        ("partition", Arc::new(Int32Array::from(vec![Some(1), Some(0), None]))),
        ("headers", Arc::new(headers.finish())),
        ("ignored", Arc::new(Int32Array::from(vec![1, 2, 3]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut sink = kafka.sink(rows.schema(), &[("kafka.compression.type", "lz4")]);
    assert_eq!(sink.write_batch(of(0, rows.schema(), vec![stream_of(rows)])).await.unwrap(), 3);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(kafka.records("a", 1).await, [(text("k"), text("1"), 1)]);
    assert_eq!(kafka.records("a", 0).await, [(None, None, 0)]);
    assert_eq!(kafka.records("b", 0).await, [(None, text("3"), 0)]);
}

#[tokio::test]
async fn without_transactions_a_batch_that_comes_twice_is_there_twice() {
    let kafka = Kafka::start(&[("out", 1)]).await;
    for _ in 0..2 {
        let mut sink = kafka.sink(values_schema(), &[("topic", "out")]);
        sink.write_batch(values_batch(0, &["x"])).await.unwrap();
    }
    assert_eq!(kafka.values("out").await, ["x", "x"]);
}

#[tokio::test]
async fn with_transactions_it_is_there_once_whoever_writes_it() {
    let kafka = Kafka::start(&[("out", 1), ("source", 1)]).await;
    let mut first = kafka.sink(values_schema(), EXACTLY_ONCE);
    assert_eq!(first.write_batch(values_batch(0, &["a", "b"])).await.unwrap(), 2);
    assert_eq!(first.write_batch(values_batch(1, &["c"])).await.unwrap(), 1);
    // As after a kill between the rows of batch 1 and its commit in the checkpoint.
    let mut second = kafka.sink(values_schema(), EXACTLY_ONCE);
    assert_eq!(second.write_batch(values_batch(1, &["c"])).await.unwrap(), 0);
    assert_eq!(second.write_batch(values_batch(2, &["d"])).await.unwrap(), 1);
    assert_eq!(kafka.values("out").await, ["a", "b", "c", "d"]);
    let group = "ottla-stream-6d1d7bb5-1b2b-4b7c-8f43-f2b9e7a6a1c4-exactly-once";
    let committed = kafka.client.fetch_all_offsets(group).await.unwrap();
    assert_eq!((committed[0].topic.as_str(), committed[0].offset), ("source", 30));
    assert_eq!(committed[0].metadata.as_deref(), Some("batch=2"));
}

#[tokio::test]
async fn what_a_killed_run_has_left_open_is_not_seen() {
    let kafka = Kafka::start(&[("out", 1)]).await;
    let mut killed = kafka.sink(values_schema(), EXACTLY_ONCE);
    killed.write_batch(values_batch(0, &["a"])).await.unwrap();
    let writer = killed.writer.as_mut().unwrap();
    let columns = Columns::find(&values_schema(), true).unwrap();
    write(writer, &columns, Some("out"), values_batch(1, &["half"])).await.unwrap();
    let Writer::ExactlyOnce(transactions) = writer else { panic!("no transactions") };
    transactions.flush().await.unwrap();
    assert_eq!(kafka.values("out").await, ["a"], "it is written, but open");

    let mut next = kafka.sink(values_schema(), EXACTLY_ONCE);
    assert_eq!(next.write_batch(values_batch(1, &["whole"])).await.unwrap(), 1);
    assert_eq!(kafka.values("out").await, ["a", "whole"]);
    let error = killed.write_batch(values_batch(2, &["by the killed"])).await.unwrap_err();
    let SinkError::Kafka(error) = error else { panic!("{error}") };
    assert!(matches!(*error, KafkaSinkError::TransactionLost { batch_id: 2, .. }), "{error}");
    assert_eq!(kafka.values("out").await, ["a", "whole"]);
}

#[tokio::test]
async fn a_batch_that_fails_is_taken_back() {
    let kafka = Kafka::start(&[("out", 1)]).await;
    let mut sink =
        kafka.sink(values_schema(), &[("topic", "out"), ("exactlyOnce", "true"), ("kafka.batch.size", "0")]);
    let mut batch = values_batch(0, &["a", "b"]);
    let failure = datafusion::error::DataFusionError::Execution("no more rows".to_owned());
    let broken = futures::stream::iter([Err(failure)]);
    let broken = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(values_schema(), broken);
    batch.partitions.push(Box::pin(broken));
    assert_eq!(sink.write_batch(batch).await.unwrap_err().to_string(), "Execution error: no more rows");
    // The same sink would go on, as well as a new one does.
    let mut sink = kafka.sink(values_schema(), EXACTLY_ONCE);
    sink.write_batch(values_batch(0, &["a", "b"])).await.unwrap();
    assert_eq!(kafka.values("out").await, ["a", "b"]);
}

#[tokio::test]
async fn a_source_of_another_kind_or_cluster_is_no_obstacle() {
    let kafka = Kafka::start(&[("out", 1)]).await;
    for json in ["{\"logOffset\":3}", "{\"elsewhere\":{\"0\":7}}"] {
        let mut batch = values_batch(0, &["x"]);
        batch.end_offsets = vec![Some(json.to_owned()), None];
        kafka.sink(values_schema(), EXACTLY_ONCE).write_batch(batch).await.unwrap();
    }
    assert_eq!(kafka.values("out").await, ["x"]);
}

#[test]
fn refuses_what_spark_refuses_in_its_words() {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let topic = ("topic", "t");
    for (fields, options, message) in [
        (
            vec![text("value")],
            &[][..],
            "topic option required when no 'topic' attribute is present. Use the topic",
        ),
        (vec![text("topic")], &[], "Required attribute 'value' not found"),
        (
            vec![int("value")],
            &[topic],
            "value attribute unsupported type int. value must be a(n) string or binary",
        ),
        (
            vec![text("value"), int("key")],
            &[topic],
            "key attribute unsupported type int. key must be a(n) string",
        ),
        (
            vec![text("value"), int("topic")],
            &[],
            "topic attribute unsupported type int. topic must be a(n) string",
        ),
        (
            vec![text("value"), text("headers")],
            &[topic],
            "headers attribute unsupported type string. headers must be a(n) array<struct<key:string,value:binary>>",
        ),
        (
            vec![text("value"), text("partition")],
            &[topic],
            "partition attribute unsupported type string. partition",
        ),
        (
            vec![int("value")],
            &[topic, ("kafka.value.serializer", "x")],
            "Kafka option 'value.serializer' is not supported as value are serialized with ByteArraySerializer.",
        ),
        (
            vec![text("value")],
            &[topic, ("kafka.sasl.mechanism", "PLAIN")],
            "Kafka option 'sasl.mechanism' is not",
        ),
        (vec![text("value")], &[topic, ("kafka.acks", "2")], "Option 'kafka.acks' cannot be '2'"),
    ] {
        let context = context(std::path::Path::new("unused"), Arc::new(Schema::new(fields)));
        let refused = KafkaSink::new(&Options::from_iter(options.iter().copied()), &context);
        let error = refused.err().map(|error| error.to_string()).unwrap();
        assert!(error.starts_with(message), "{error}");
    }
}
