//! What clients can see of a broker, to be compared with what they see of the one that has its directory next.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::{
    AbortedTransaction, Client, ClientConfig, CommittedOffset, Fetch, FetchPartition, FetchedPartition,
    IsolationLevel, OffsetSpec,
};

const MAX_BYTES: i32 = 8 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub struct View {
    pub cluster_id: Option<String>,
    /// All but Kafka's own.
    pub topics: BTreeMap<String, TopicView>,
    /// By group, ordered by topic and partition.
    pub offsets: BTreeMap<String, Vec<CommittedOffset>>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct TopicView {
    pub id: String,
    /// Those that were set for the topic.
    pub settings: BTreeMap<String, Option<String>>,
    pub partitions: Vec<PartitionView>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub start_offset: i64,
    pub end_offset: i64,
    pub last_stable_offset: i64,
    pub aborted_transactions: Vec<AbortedTransaction>,
    pub batches: Vec<BatchView>,
}

/// A batch as it is stored: the CRC stands for all that its producer sent.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchView {
    pub base_offset: i64,
    pub last_offset: i64,
    pub leader_epoch: i32,
    pub size_bytes: usize,
    pub crc: u32,
}

impl View {
    /// Of the broker that serves there, with the offsets of these groups.
    pub async fn of(bootstrap_servers: &str, groups: &[&str]) -> View {
        let client = Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves");
        let metadata = client.all_metadata().await.expect("the broker knows its topics");
        let mut topics = BTreeMap::new();
        for topic in metadata.topics.iter().filter(|topic| !topic.is_internal) {
            let id = topic.id.to_string();
            topics.insert(
                topic.name.clone(),
                topic_view(&client, &topic.name, id, topic.partitions.len()).await,
            );
        }
        let mut offsets = BTreeMap::new();
        for group in groups {
            let mut committed = client.fetch_all_offsets(group).await.expect("the broker knows its groups");
            committed.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
            offsets.insert((*group).to_owned(), committed);
        }
        View { cluster_id: metadata.cluster_id, topics, offsets }
    }

    /// # Panics
    /// When there is no such partition.
    pub fn partition(&self, topic: &str, partition: usize) -> &PartitionView {
        &self.topics[topic].partitions[partition]
    }
}

async fn topic_view(client: &Client, topic: &str, id: String, partitions: usize) -> TopicView {
    let settings = client.describe_topic_configs(topic).await.expect("a topic has settings").into_iter();
    let settings = settings.filter(|setting| setting.is_set_on_topic);
    let mut views = Vec::new();
    for partition in 0..partitions as i32 {
        views.push(partition_view(client, topic, partition).await);
    }
    TopicView {
        id,
        settings: settings.map(|setting| (setting.name, setting.value)).collect(),
        partitions: views,
    }
}

async fn partition_view(client: &Client, topic: &str, partition: i32) -> PartitionView {
    let listed = client.list_offsets(&[(topic, partition, OffsetSpec::Earliest)]).await;
    let start_offset = listed.expect("the partition is served")[0].offset.expect("a start is always there");
    let committed = fetch(client, topic, partition, start_offset, IsolationLevel::ReadCommitted).await;
    let end_offset = committed.high_watermark;
    let mut batches: Vec<BatchView> = Vec::new();
    let mut next_offset = start_offset;
    while next_offset < end_offset {
        let fetched = fetch(client, topic, partition, next_offset, IsolationLevel::ReadUncommitted).await;
        batches.extend(batch_views(&fetched));
        next_offset = batches.last().expect("a fetch below the end brings a batch").last_offset + 1;
    }
    PartitionView {
        start_offset,
        end_offset,
        last_stable_offset: committed.last_stable_offset,
        aborted_transactions: committed.aborted_transactions,
        batches,
    }
}

fn batch_views(fetched: &FetchedPartition) -> Vec<BatchView> {
    let views = fetched.batches().map(|batch| {
        let batch = batch.expect("a whole batch");
        batch.verify_crc().expect("the CRC that was sent");
        BatchView {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            leader_epoch: batch.header().leader_epoch,
            size_bytes: batch.size_bytes(),
            crc: batch.header().crc,
        }
    });
    views.collect()
}

async fn fetch(
    client: &Client,
    topic: &str,
    partition: i32,
    offset: i64,
    isolation_level: IsolationLevel,
) -> FetchedPartition {
    let wanted = FetchPartition { topic: topic.to_owned(), partition, offset, max_bytes: MAX_BYTES };
    let fetch = Fetch {
        partitions: vec![wanted],
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: MAX_BYTES,
        isolation_level,
    };
    let fetched = client.fetch(&fetch).await.expect("a fetch is answered").remove(0);
    assert_eq!(fetched.error, None, "{topic}-{partition}");
    fetched
}
