//! What the client must do, whichever broker it talks to. A topic or group is named after its scenario, with a suffix,
//! since a real Kafka outlives the test run.

mod transactions;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_client::group::{GroupConfig, GroupMember, Membership};
use ottla_client::producer::{OutgoingRecord, Producer, ProducerConfig, partition_for_key};
use ottla_client::{
    Acks, Client, Committer, DeleteBefore, Fetch, FetchPartition, FetchedPartition, IsolationLevel, NewTopic,
    OffsetSpec, OffsetToCommit, ProduceOutcome, TopicMetadata,
};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::{Compression, ErrorCode};

pub(crate) use transactions::*;

/// Hands the names of all scenarios to a macro that makes a test of each.
macro_rules! every_scenario {
    ($against:ident) => {
        $against! {
            topics_are_created_described_grown_and_deleted,
            configs_say_what_was_set,
            a_batch_comes_back_as_it_was_sent,
            acks_none_is_written_without_an_answer,
            a_fetch_waits_for_the_record_that_ends_it,
            offsets_are_listed_by_place_and_time,
            what_is_not_there_is_named,
            records_are_deleted_up_to_an_offset,
            a_corrupt_batch_is_refused,
            a_topic_made_anew_is_found_again,
            committed_offsets_are_kept_by_group,
            members_share_the_partitions_of_their_group,
            the_producer_keeps_keys_together_and_in_order,
            the_cluster_describes_itself,
            a_transaction_counts_whole_or_not_at_all,
            the_first_transaction_protocol_is_spoken_with_brokers_that_know_no_other,
            the_next_producer_of_a_transactional_id_ends_what_was_left_open,
        }
    };
}

async fn create(client: &Client, topic: NewTopic) {
    client.create_topics(&[topic]).await.unwrap()[0].result.clone().unwrap();
}

pub(crate) async fn topics_are_created_described_grown_and_deleted(client: Client) {
    let topic = unique("topics");
    let created = client.create_topics(&[NewTopic::new(&topic).with_partitions(2)]).await.unwrap();
    assert_eq!(created[0].result, Ok(()));

    let again = client.create_topics(&[NewTopic::new(&topic)]).await.unwrap();
    let error = again[0].result.clone().unwrap_err();
    assert_eq!(error.code, ErrorCode::TopicAlreadyExists);
    assert_eq!(error.message, Some(format!("Topic '{topic}' already exists.")));

    let made = metadata_once(&client, &topic, |made| made.partitions.len() == 2).await;
    assert!(!made.id.is_nil());

    client.create_partitions(&[(&topic, 5)]).await.unwrap()[0].result.clone().unwrap();
    metadata_once(&client, &topic, |grown| grown.partitions.len() == 5).await;

    client.delete_topics(&[&topic]).await.unwrap()[0].result.clone().unwrap();
    metadata_once(&client, &topic, |gone| gone.error == Some(ErrorCode::UnknownTopicOrPartition)).await;
}

/// Kafka's brokers hear of a change a little after the controller has answered.
async fn metadata_once(
    client: &Client,
    topic: &str,
    holds: impl Fn(&TopicMetadata) -> bool,
) -> Arc<TopicMetadata> {
    let changed = async {
        loop {
            let metadata = client.metadata(&[topic]).await.unwrap();
            match metadata.topic(topic) {
                Some(topic) if holds(topic) => return Arc::clone(topic),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), changed).await.unwrap()
}

pub(crate) async fn configs_say_what_was_set(client: Client) {
    let topic = unique("configs");
    let mut new_topic = NewTopic::new(&topic).with_partitions(1);
    new_topic.configs.push(("retention.ms".to_owned(), "1234567".to_owned()));
    create(&client, new_topic).await;
    let configs = client.describe_topic_configs(&topic).await.unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.is_set_on_topic), (Some("1234567"), true));
    assert!(configs.iter().any(|config| config.name == "cleanup.policy" && !config.is_set_on_topic));

    client.set_topic_configs(&topic, &[("cleanup.policy", "compact")]).await.unwrap();
    let configs = client.describe_topic_configs(&topic).await.unwrap();
    let is_set = |name, value| {
        configs.iter().any(|config| {
            config.name == name && config.value.as_deref() == Some(value) && config.is_set_on_topic
        })
    };
    assert!(is_set("cleanup.policy", "compact") && is_set("retention.ms", "1234567"), "{configs:?}");
}

pub(crate) async fn a_batch_comes_back_as_it_was_sent(client: Client) {
    let topic = unique("round-trip");
    for compression in Compression::ALL {
        let batch = batch_of(compression, 3);
        let outcome = client.produce(&topic, 0, batch.clone(), Acks::All).await.unwrap();
        let ProduceOutcome::Acknowledged { base_offset, .. } = outcome else { panic!("{outcome:?}") };
        let fetched = client.fetch(&fetch_from(&topic, 0, base_offset)).await.unwrap().remove(0);
        assert_eq!((fetched.error, fetched.high_watermark), (None, base_offset + 3), "{compression}");
        let returned = fetched.batches().next().unwrap().unwrap();
        assert_eq!((returned.base_offset(), returned.body()), (base_offset, &batch[61..]), "{compression}");
        assert_eq!(returned.verify_crc(), Ok(()));
    }
}

pub(crate) async fn acks_none_is_written_without_an_answer(client: Client) {
    let topic = unique("acks-none");
    create(&client, NewTopic::new(&topic).with_partitions(1)).await;
    let sent = client.produce(&topic, 0, batch_of(Compression::None, 2), Acks::None).await.unwrap();
    assert_eq!(sent, ProduceOutcome::Unacknowledged);
    // On the same connection, hence behind it.
    let next = client.produce(&topic, 0, batch_of(Compression::None, 1), Acks::Leader).await.unwrap();
    assert!(matches!(next, ProduceOutcome::Acknowledged { base_offset: 2, .. }), "{next:?}");
}

pub(crate) async fn a_fetch_waits_for_the_record_that_ends_it(client: Client) {
    let topic = unique("long-poll");
    create(&client, NewTopic::new(&topic).with_partitions(2)).await;
    let mut wanted = fetch_from(&topic, 0, 0);
    wanted.partitions.extend(fetch_from(&topic, 1, 0).partitions);
    wanted.max_wait = Duration::from_secs(20);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { first_records(&client, &wanted).await }
    });
    client.produce(&topic, 1, batch_of(Compression::None, 1), Acks::All).await.unwrap();
    let fetched = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert_eq!(fetched.partition, 1);
}

/// A fetch leaves out what a broker does not know of yet.
async fn first_records(client: &Client, wanted: &Fetch) -> FetchedPartition {
    loop {
        let fetched = client.fetch(wanted).await.unwrap();
        if let Some(found) = fetched.into_iter().find(|fetched| !fetched.records.is_empty()) {
            return found;
        }
    }
}

pub(crate) async fn offsets_are_listed_by_place_and_time(client: Client) {
    let topic = unique("list-offsets");
    for timestamp_ms in [1_000, 2_000, 3_000] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(timestamp_ms, None, Some(b"x")).unwrap();
        client.produce(&topic, 0, builder.build().unwrap(), Acks::All).await.unwrap();
    }
    let specs = [
        OffsetSpec::Earliest,
        OffsetSpec::Latest,
        OffsetSpec::Timestamp(1_500),
        OffsetSpec::Timestamp(9_999),
        OffsetSpec::MaxTimestamp,
    ];
    let listed = client.list_offsets(&specs.map(|spec| (topic.as_str(), 0, spec))).await.unwrap();
    let offsets: Vec<Option<i64>> = listed.iter().map(|listed| listed.offset).collect();
    assert_eq!(offsets, [Some(0), Some(3), Some(1), None, Some(2)]);
    assert_eq!(listed[2].timestamp_ms, Some(2_000));
}

pub(crate) async fn what_is_not_there_is_named(client: Client) {
    let missing = unique("missing");
    let error = client.list_offsets(&[(&missing, 0, OffsetSpec::Latest)]).await.unwrap_err();
    assert_eq!(error.to_string(), format!("topic `{missing}` does not exist"));
    let fetched = client.fetch(&fetch_from(&missing, 0, 0)).await.unwrap();
    assert_eq!(fetched[0].error, Some(ErrorCode::UnknownTopicOrPartition));

    let topic = unique("out-of-range");
    client.produce(&topic, 0, batch_of(Compression::None, 1), Acks::All).await.unwrap();
    let fetched = client.fetch(&fetch_from(&topic, 0, 99)).await.unwrap();
    assert_eq!(fetched[0].error, Some(ErrorCode::OffsetOutOfRange));
    let fetched = client.fetch(&fetch_from(&topic, 99, 0)).await.unwrap();
    assert_eq!(fetched[0].error, Some(ErrorCode::UnknownTopicOrPartition));
}

pub(crate) async fn records_are_deleted_up_to_an_offset(client: Client) {
    let topic = unique("delete-records");
    create(&client, NewTopic::new(&topic).with_partitions(3)).await;
    for partition in 0..2 {
        client.produce(&topic, partition, batch_of(Compression::None, 5), Acks::All).await.unwrap();
    }
    let before = [
        (topic.as_str(), 1, DeleteBefore::HighWatermark),
        (&topic, 0, DeleteBefore::Offset(3)),
        (&topic, 2, DeleteBefore::Offset(1)),
    ];
    let deleted = client.delete_records(&before).await.unwrap();
    let low_watermarks: Vec<_> =
        deleted.iter().map(|deleted| deleted.low_watermark.as_ref().map_err(|error| error.code)).collect();
    assert_eq!(low_watermarks, [Ok(&5), Ok(&3), Err(ErrorCode::OffsetOutOfRange)]);
    let earliest = client.list_offsets(&[(&topic, 0, OffsetSpec::Earliest)]).await.unwrap();
    assert_eq!(earliest[0].offset, Some(3));

    let missing = [(topic.as_str(), 0, DeleteBefore::HighWatermark), (&topic, 3, DeleteBefore::Offset(0))];
    let error = client.delete_records(&missing).await.unwrap_err();
    assert_eq!(error.to_string(), format!("topic `{topic}` has no partition 3"));
    let earliest = client.list_offsets(&[(&topic, 0, OffsetSpec::Earliest)]).await.unwrap();
    assert_eq!(earliest[0].offset, Some(3), "where one partition is missing, nothing is deleted");
}

pub(crate) async fn a_corrupt_batch_is_refused(client: Client) {
    let topic = unique("corrupt");
    let mut batch = batch_of(Compression::None, 1).to_vec();
    *batch.last_mut().unwrap() ^= 1;
    let error = client.produce(&topic, 0, Bytes::from(batch), Acks::All).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::CorruptMessage), "{error}");
}

pub(crate) async fn a_topic_made_anew_is_found_again(client: Client) {
    let topic = unique("made-anew");
    client.produce(&topic, 0, batch_of(Compression::None, 3), Acks::All).await.unwrap();
    let old = client.metadata(&[&topic]).await.unwrap().topic(&topic).unwrap().id;
    // Another client, so that this one's cache still has the old topic id.
    let other = Client::connect(client.config().clone()).await.unwrap();
    other.delete_topics(&[&topic]).await.unwrap()[0].result.clone().unwrap();
    create(&other, NewTopic::new(&topic).with_partitions(1)).await;
    let outcome = client.produce(&topic, 0, batch_of(Compression::None, 1), Acks::All).await.unwrap();
    assert!(matches!(outcome, ProduceOutcome::Acknowledged { base_offset: 0, .. }), "{outcome:?}");
    assert_ne!(client.metadata(&[&topic]).await.unwrap().topic(&topic).unwrap().id, old);
}

pub(crate) async fn committed_offsets_are_kept_by_group(client: Client) {
    let (topic, group) = (unique("commits"), unique("commits-group"));
    create(&client, NewTopic::new(&topic).with_partitions(2)).await;
    assert_eq!(client.fetch_offsets(&group, &[(&topic, 0)]).await.unwrap(), []);
    let mut offset = OffsetToCommit::new(&topic, 1, 42);
    offset.metadata = Some("by hand".to_owned());
    client.commit_offsets(&group, Committer::Standalone, &[offset]).await.unwrap();

    let committed = client.fetch_offsets(&group, &[(&topic, 0), (&topic, 1)]).await.unwrap();
    assert_eq!(committed, client.fetch_all_offsets(&group).await.unwrap());
    assert_eq!(committed.len(), 1);
    assert_eq!((committed[0].partition, committed[0].offset), (1, 42));
    assert_eq!(committed[0].metadata.as_deref(), Some("by hand"));

    let listed = client.list_groups().await.unwrap();
    assert_eq!(listed.iter().find(|listed| listed.group == group).unwrap().state, "Empty");
    let stranger = Committer::Member { generation_id: 7, member_id: "nobody" };
    let error =
        client.commit_offsets(&group, stranger, &[OffsetToCommit::new(&topic, 0, 1)]).await.unwrap_err();
    assert!(
        matches!(error.code(), Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)),
        "{error}"
    );
}

pub(crate) async fn members_share_the_partitions_of_their_group(client: Client) {
    let (topic, group) = (unique("members"), unique("members-group"));
    create(&client, NewTopic::new(&topic).with_partitions(3)).await;
    let config = GroupConfig::new(&group, vec![topic.clone()]);
    let mut first = GroupMember::join(client.clone(), config.clone()).await.unwrap();
    assert_eq!(first.assignment()[&topic], [0, 1, 2]);
    assert_eq!(first.heartbeat().await.unwrap(), Membership::Current);

    let joining = tokio::spawn(GroupMember::join(client.clone(), config));
    while first.heartbeat().await.unwrap() == Membership::Current {
        tokio::task::yield_now().await;
    }
    first.rejoin().await.unwrap();
    let second = joining.await.unwrap().unwrap();
    let mut shared = [first.assignment()[&topic].clone(), second.assignment()[&topic].clone()];
    shared.sort_by_key(Vec::len);
    assert_eq!(shared.concat().len(), 3);
    assert_eq!(shared.map(|partitions| partitions.len()), [1, 2]);

    first.commit(&[OffsetToCommit::new(&topic, 0, 7)]).await.unwrap();
    let described = client.describe_group(&group).await.unwrap();
    assert_eq!((described.state.as_str(), described.protocol.as_str()), ("Stable", "range"));
    assert_eq!(described.members.len(), 2);
    let of_second = described.members.iter().find(|member| member.member_id == second.member_id()).unwrap();
    assert_eq!(&of_second.assignment, second.assignment());

    second.leave().await.unwrap();
    while first.heartbeat().await.unwrap() == Membership::Current {
        tokio::task::yield_now().await;
    }
    first.rejoin().await.unwrap();
    assert_eq!(first.assignment()[&topic], [0, 1, 2]);
    first.leave().await.unwrap();
    assert_eq!(client.fetch_offsets(&group, &[(&topic, 0)]).await.unwrap()[0].offset, 7);
}

pub(crate) async fn the_producer_keeps_keys_together_and_in_order(client: Client) {
    let topic = unique("producer");
    create(&client, NewTopic::new(&topic).with_partitions(3)).await;
    let config =
        ProducerConfig { batch_bytes: 200, compression: Compression::Lz4, ..ProducerConfig::default() };
    let mut producer = Producer::new(client.clone(), &topic, config).await.unwrap();
    for number in 0..300 {
        let (key, value) = (format!("k{}", number % 7), number.to_string());
        let record =
            OutgoingRecord { key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..Default::default() };
        producer.send(&record).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(producer.acknowledged(), 300);

    let mut total = 0;
    for partition in 0..3 {
        let numbers = numbers_in(&client, &topic, partition).await;
        assert!(numbers.is_sorted(), "{numbers:?}");
        for number in &numbers {
            assert_eq!(partition_for_key(format!("k{}", number % 7).as_bytes(), 3), partition);
        }
        total += numbers.len();
    }
    assert_eq!(total, 300);
}

async fn numbers_in(client: &Client, topic: &str, partition: i32) -> Vec<i32> {
    let fetched = client.fetch(&fetch_from(topic, partition, 0)).await.unwrap().remove(0);
    let mut numbers = Vec::new();
    for batch in fetched.batches() {
        let records = batch.unwrap().records(1 << 20).unwrap();
        for record in &records {
            let value = std::str::from_utf8(record.unwrap().value.unwrap()).unwrap();
            numbers.push(value.parse().unwrap());
        }
    }
    numbers
}

pub(crate) async fn the_cluster_describes_itself(client: Client) {
    let described = client.describe_cluster().await.unwrap();
    let metadata = client.metadata(&[]).await.unwrap();
    assert_eq!(described.brokers, metadata.brokers);
    assert_eq!(Some(described.cluster_id), metadata.cluster_id);
    assert_eq!(described.brokers.len(), 1);
}

fn batch_of(compression: Compression, records: i64) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for number in 0..records {
        builder.push(1_000 + number, Some(b"key"), Some(format!("value {number}").as_bytes())).unwrap();
    }
    builder.build().unwrap()
}

fn fetch_from(topic: &str, partition: i32, offset: i64) -> Fetch {
    Fetch {
        partitions: vec![FetchPartition { topic: topic.to_owned(), partition, offset, max_bytes: 1 << 20 }],
        max_wait: Duration::from_millis(500),
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: IsolationLevel::ReadUncommitted,
    }
}

fn unique(name: &str) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}", std::process::id(), since_epoch.as_nanos())
}
