//! A broker with topics, and jobs that run over them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::prelude::SessionContext;
use ottla_broker::{Broker, Config};
use ottla_client::{Acks, Client, ClientConfig, NewTopic};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_stream::checkpoint::Checkpoint;
use ottla_stream::conf::Conf;
use ottla_stream::options::Options;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::progress::StreamingQueryProgress;
use ottla_stream::sink::{self, JsonLinesSink, Sink, SinkBatch, SinkContext, SinkError};
use ottla_stream::source::Connections;
use ottla_stream::stop::{self, StopSignal};
use ottla_stream::trigger::Trigger;
use ottla_stream::{Observer, Session, Step, StreamingQuery};
use parking_lot::Mutex;

/// Milliseconds, key and value.
pub(crate) type TimedRecord<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>);

pub(crate) struct Kafka {
    pub(crate) broker: Broker,
    pub(crate) client: Client,
}

impl Kafka {
    pub(crate) async fn start() -> Kafka {
        let broker = Broker::start(Config::ephemeral()).await.unwrap();
        let client = Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.unwrap();
        Kafka { broker, client }
    }

    pub(crate) async fn create(&self, topic: &str, partitions: i32) {
        let mut topic = NewTopic::new(topic).with_partitions(partitions);
        // The records are years old, and the broker would delete them while a test takes its time.
        topic.configs.push(("retention.ms".to_owned(), "-1".to_owned()));
        topic.configs.push(("message.timestamp.after.max.ms".to_owned(), i64::MAX.to_string()));
        let topics = [topic];
        for outcome in self.client.create_topics(&topics).await.unwrap() {
            outcome.result.unwrap();
        }
    }

    /// Writes one batch of records.
    pub(crate) async fn put_records(&self, topic: &str, records: &[TimedRecord<'_>]) {
        let mut batch = BatchBuilder::new(Compression::None);
        for (time_ms, key, value) in records {
            batch.push(*time_ms, *key, *value).unwrap();
        }
        self.client.produce(topic, 0, batch.build().unwrap(), Acks::Leader).await.unwrap();
    }

    /// Writes one batch of values.
    pub(crate) async fn put(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = impl ToString>,
    ) {
        let mut batch = BatchBuilder::new(Compression::Lz4);
        for value in values {
            batch.push(1_700_000_000_000, None, Some(value.to_string().as_bytes())).unwrap();
        }
        self.client.produce(topic, partition, batch.build().unwrap(), Acks::Leader).await.unwrap();
    }
}

/// A job, as flags of the command line would make it.
#[derive(Clone)]
pub(crate) struct Job {
    sql: String,
    output_mode: OutputMode,
    trigger: Trigger,
    options: BTreeMap<String, String>,
    /// Format and options of the sink, in place of one that records.
    sink: Option<(String, Options)>,
}

/// The rows of one batch as JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchRows {
    pub(crate) id: u64,
    pub(crate) rows: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) batches: Vec<BatchRows>,
    pub(crate) progress: Vec<StreamingQueryProgress>,
    /// What the run ended with.
    pub(crate) error: Option<String>,
}

impl Outcome {
    pub(crate) fn rows(&self) -> Vec<&str> {
        self.batches.iter().flat_map(|batch| &batch.rows).map(String::as_str).collect()
    }
}

/// Where a run is cut off.
pub(crate) type CrashPoint = Option<(u64, Step)>;

/// What follows a step of a batch.
pub(crate) type AtStep = Box<dyn FnMut(u64, Step) -> ControlFlow<()> + Send>;

impl Job {
    pub(crate) fn new(sql: &str) -> Job {
        let options = BTreeMap::from([("startingOffsets".to_owned(), "earliest".to_owned())]);
        let (output_mode, trigger) = (OutputMode::Append, Trigger::AvailableNow);
        Job { sql: sql.to_owned(), output_mode, trigger, options, sink: None }
    }

    pub(crate) fn output_mode(self, output_mode: OutputMode) -> Job {
        Job { output_mode, ..self }
    }

    pub(crate) fn trigger(self, trigger: Trigger) -> Job {
        Job { trigger, ..self }
    }

    pub(crate) fn option(mut self, key: &str, value: &str) -> Job {
        self.options.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Lets the rows go into a sink of this format.
    pub(crate) fn into_sink(self, format: &str, options: &[(&str, &str)]) -> Job {
        let options = Options::from_iter(options.iter().copied());
        Job { sink: Some((format.to_owned(), options)), ..self }
    }

    pub(crate) async fn run(&self, kafka: &Kafka, checkpoint: &Path) -> Outcome {
        self.run_until_crash(kafka, checkpoint, None).await
    }

    pub(crate) async fn run_until_crash(
        &self,
        kafka: &Kafka,
        checkpoint: &Path,
        crash: CrashPoint,
    ) -> Outcome {
        let (_stopper, stop) = stop::channel();
        self.run_until_stopped(kafka, checkpoint, crash, stop).await
    }

    pub(crate) async fn run_until_stopped(
        &self,
        kafka: &Kafka,
        checkpoint: &Path,
        crash: CrashPoint,
        stop: StopSignal,
    ) -> Outcome {
        let at_step = move |id, step| match crash == Some((id, step)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        self.run_observed(kafka, checkpoint, stop, Box::new(at_step)).await
    }

    /// Does something of its own after the steps of the batches.
    pub(crate) async fn run_observed(
        &self,
        kafka: &Kafka,
        checkpoint: &Path,
        stop: StopSignal,
        at_step: AtStep,
    ) -> Outcome {
        self.run_with(kafka, checkpoint, stop, at_step, None).await
    }

    /// Lets the rows go into a sink of the test.
    pub(crate) async fn run_into(&self, kafka: &Kafka, checkpoint: &Path, sink: Box<dyn Sink>) -> Outcome {
        let (_stopper, stop) = stop::channel();
        let at_step = Box::new(|_, _| ControlFlow::Continue(()));
        self.run_with(kafka, checkpoint, stop, at_step, Some(sink)).await
    }

    async fn run_with(
        &self,
        kafka: &Kafka,
        checkpoint: &Path,
        stop: StopSignal,
        at_step: AtStep,
        sink: Option<Box<dyn Sink>>,
    ) -> Outcome {
        let seen = Arc::new(Mutex::new(Outcome::default()));
        let result = self.try_run(kafka, checkpoint, stop, seen.clone(), at_step, sink).await;
        let mut outcome = seen.lock().clone();
        outcome.error = result.err().map(|error| error.to_string());
        outcome
    }

    async fn try_run(
        &self,
        kafka: &Kafka,
        checkpoint: &Path,
        stop: StopSignal,
        seen: Arc<Mutex<Outcome>>,
        at_step: AtStep,
        sink: Option<Box<dyn Sink>>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut conf = Conf::default();
        conf.set("spark.sql.session.timeZone", "UTC")?;
        let mut options = self.options.clone();
        options.insert("kafka.bootstrap.servers".to_owned(), kafka.broker.bootstrap_servers());
        let plan = Session::new(conf)?.plan(&self.sql, &options, self.output_mode)?;
        let checkpoint = Checkpoint::open(checkpoint)?;
        let sink: Box<dyn Sink> = match (sink, &self.sink) {
            (Some(sink), _) => sink,
            (None, None) => Box::new(RecordingSink { seen: seen.clone() }),
            (None, Some((format, options))) => {
                let context = SinkContext {
                    query_id: checkpoint.query_id().to_owned(),
                    query_name: None,
                    checkpoint: checkpoint.folder().to_owned(),
                    time_zone: "UTC".parse()?,
                    bootstrap_servers: kafka.broker.bootstrap_servers(),
                    partition_columns: Vec::new(),
                    schema: plan.schema(),
                    session: SessionContext::new(),
                };
                sink::open(format, options, &context)?
            }
        };
        let observer = Box::new(Recorder { seen, at_step });
        let connections = Arc::new(Connections::new(|_| {}));
        let query = StreamingQuery::new(plan, connections, checkpoint, sink, self.trigger, observer);
        Ok(query.run(stop).await?)
    }
}

struct RecordingSink {
    seen: Arc<Mutex<Outcome>>,
}

#[async_trait]
impl Sink for RecordingSink {
    fn description(&self) -> String {
        "recording".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let id = batch.id;
        let mut lines = Vec::new();
        let utc = "UTC".parse().expect("a time zone");
        let count = JsonLinesSink::new(&mut lines, utc).write_batch(batch).await?;
        let text = String::from_utf8(lines).expect("JSON is UTF-8");
        let rows = text.lines().map(str::to_owned).collect();
        self.seen.lock().batches.push(BatchRows { id, rows });
        Ok(count)
    }
}

struct Recorder {
    seen: Arc<Mutex<Outcome>>,
    at_step: AtStep,
}

impl Observer for Recorder {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        self.seen.lock().progress.push(progress.clone());
    }

    fn step(&mut self, batch_id: u64, step: Step) -> ControlFlow<()> {
        (self.at_step)(batch_id, step)
    }
}
