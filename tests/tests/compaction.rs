//! The same records in compacted topics of Ottla and of Apache Kafka: the same ones are left, and Kafka's
//! `DumpLogSegments` finds no fault in what Ottla has left.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_client::{
    Acks, Client, ClientConfig, Fetch, FetchPartition, FetchedPartition, IsolationLevel, NewTopic, OffsetSpec,
};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::dump_log::{dump, files};
use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::random::noise;
use ottla_tests::timestamp::now_ms;
use ottla_tests::{ApacheKafka, Runtime, runtime};

/// Keeps its tombstones for a day.
const KEEPING: &str = "keeping";
/// Removes a tombstone with the second compaction.
const FORGETTING: &str = "forgetting";
const LIMIT: Duration = Duration::from_secs(120);
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

struct Subject {
    client: Client,
    log_dir: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_leaves_is_left() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let kafka = ApacheKafka::start(dir.path()).await;
    let log_dir = dir.path().join("data");
    let backoff = ["--override", "log.cleaner.backoff.ms=100"];
    let ottla = OttlaProcess::start("127.0.0.1:0", &log_dir, &backoff).await;
    let both = [
        Subject::connect(kafka.bootstrap_servers(), dir.path().join("kafka")).await,
        Subject::connect(ottla.bootstrap_servers(), log_dir.clone()).await,
    ];
    let started_ms = now_ms();
    for subject in &both {
        subject.create(KEEPING, "86400000").await;
        subject.create(FORGETTING, "0").await;
    }
    // A tombstone gets its horizon when it is first compacted, and what is appended to is not.
    for with_tombstones in [true, false, false] {
        for topic in [KEEPING, FORGETTING] {
            for subject in &both {
                subject.fill(topic, started_ms, with_tombstones).await;
            }
        }
        for subject in &both {
            subject.compacted(KEEPING).await;
            subject.compacted(FORGETTING).await;
        }
    }
    for topic in [KEEPING, FORGETTING] {
        let [from_kafka, from_ottla] = [both[0].left(topic).await, both[1].left(topic).await];
        let offsets = |left: &[Left]| left.iter().map(|record| record.offset).collect::<Vec<_>>();
        assert!(offsets(&from_ottla) == offsets(&from_kafka), "{topic}: {:?}", offsets(&from_ottla));
        assert!(from_ottla == from_kafka, "{topic}");
        let tombstones = from_ottla.iter().filter(|record| record.value.is_none()).count();
        assert_eq!(tombstones > 0, topic == KEEPING, "{tombstones} tombstones in {topic}");
        assert!(from_ottla.len() < 3000, "{} records are left", from_ottla.len());
        let times: Vec<i64> = (-20..1300).step_by(40).map(|later| started_ms + later).collect();
        let expected = times.iter().map(|time| from_ottla.iter().find(|record| record.timestamp >= *time));
        let expected: Vec<_> = expected.map(|found| found.map(|record| record.offset)).collect();
        assert_eq!(both[1].found(topic, &times).await, expected, "{topic}");
        // Kafka gives up at a segment whose largest timestamp is that of a batch which compaction has emptied.
        if topic == KEEPING {
            assert_eq!(both[0].found(topic, &times).await, expected, "{topic}");
        }
    }
    assert!(ottla.terminate().await.success());
    expect_no_fault(&log_dir).await;
}

impl Subject {
    async fn connect(bootstrap_servers: &str, log_dir: PathBuf) -> Subject {
        let client = Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves");
        Subject { client, log_dir }
    }

    async fn create(&self, topic: &str, delete_retention_ms: &str) {
        let configs = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "1048576"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("delete.retention.ms", delete_retention_ms),
        ];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let topic = NewTopic { configs, ..NewTopic::new(topic).with_partitions(1) };
        let outcomes = self.client.create_topics(&[topic]).await.expect("the topic is created");
        assert_eq!(outcomes[0].result, Ok(()));
    }

    /// 3 MB in batches of every codec.
    async fn fill(&self, topic: &str, started_ms: i64, with_tombstones: bool) {
        for number in 0..120_i64 {
            let mut batch = BatchBuilder::new(CODECS[number as usize % CODECS.len()]);
            for at in number * 20..number * 20 + 20 {
                let key = format!("key {}", noise(at).as_bytes()[3] as usize * 7 % 41 + (at % 5) as usize);
                let value = noise(at);
                let is_tombstone = with_tombstones && at % 11 == 0;
                let key = if is_tombstone { format!("gone {}", at % 13) } else { key };
                let value = (!is_tombstone).then_some(value.as_bytes());
                // Not in the order of the offsets.
                let timestamp = started_ms + number * 10 - at % 7;
                batch.push(timestamp, Some(key.as_bytes()), value).expect("small records");
            }
            let batch = batch.build().expect("a batch of small records");
            self.client.produce(topic, 0, batch, Acks::All).await.expect("the broker takes a batch");
        }
    }

    /// Waits until everything before the active segment is compacted.
    async fn compacted(&self, topic: &str) {
        let wait = async {
            let end_offset = self.end_offset(topic).await;
            while self.cleaned_to(topic) != self.active_base_offset(topic) {
                // An answer that comes late is the clock.
                self.fetch(topic, end_offset, Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        waited.unwrap_or_else(|_| panic!("{topic} in {} is not compacted", self.log_dir.display()));
    }

    fn cleaned_to(&self, topic: &str) -> Option<i64> {
        let checkpoint = std::fs::read_to_string(self.log_dir.join("cleaner-offset-checkpoint")).ok()?;
        let line = checkpoint.lines().find_map(|line| line.strip_prefix(&format!("{topic} 0 ")))?;
        line.parse().ok()
    }

    fn active_base_offset(&self, topic: &str) -> Option<i64> {
        let logs = files(&self.log_dir, &["log"]);
        let of_topic = logs.iter().rfind(|log| {
            log.parent().and_then(Path::file_name).is_some_and(|dir| *dir == *format!("{topic}-0"))
        });
        of_topic?.file_stem()?.to_str()?.parse().ok()
    }

    async fn end_offset(&self, topic: &str) -> i64 {
        let listed = self.client.list_offsets(&[(topic, 0, OffsetSpec::Latest)]).await;
        listed.expect("the broker lists offsets")[0].offset.expect("the log has an end")
    }

    async fn fetch(&self, topic: &str, offset: i64, max_wait: Duration) -> FetchedPartition {
        let partition = FetchPartition { topic: topic.to_owned(), partition: 0, offset, max_bytes: 100_000 };
        let fetch = Fetch {
            partitions: vec![partition],
            max_wait,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: IsolationLevel::ReadUncommitted,
        };
        let fetched = self.client.fetch(&fetch).await.expect("the broker answers a fetch").remove(0);
        assert_eq!(fetched.error, None);
        fetched
    }

    async fn left(&self, topic: &str) -> Vec<Left> {
        let end_offset = self.end_offset(topic).await;
        let (mut offset, mut left) = (0, Vec::new());
        while offset < end_offset {
            let fetched = self.fetch(topic, offset, LIMIT).await;
            let before = offset;
            // Kafka cuts the last batch where the limit is.
            for batch in fetched.batches().map_while(Result::ok) {
                batch.verify_crc().expect("sound batches");
                for record in &batch.records(1 << 20).expect("records") {
                    let record = record.expect("a sound record");
                    left.push(Left {
                        offset: record.offset,
                        timestamp: record.timestamp,
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                    });
                }
                offset = batch.header().next_offset();
            }
            assert!(offset > before, "a fetch from offset {offset} of {topic} gets on");
        }
        left
    }

    /// Which offsets are found by time.
    async fn found(&self, topic: &str, times: &[i64]) -> Vec<Option<i64>> {
        let specs: Vec<_> = times.iter().map(|&time| (topic, 0, OffsetSpec::Timestamp(time))).collect();
        let listed = self.client.list_offsets(&specs).await.expect("the broker lists offsets");
        listed.iter().map(|listed| listed.offset).collect()
    }
}

async fn expect_no_fault(log_dir: &Path) {
    // With `--deep-iteration` it complains about every gap.
    dump(&files(log_dir, &["log"]), "").await.expect_clean();
    let indexes = files(log_dir, &["index", "timeindex"]);
    dump(&indexes, "").await.expect_clean();
    dump(&indexes, "--verify-index-only").await.expect_clean();
    dump(&indexes, "--index-sanity-check").await.expect_clean();
}
