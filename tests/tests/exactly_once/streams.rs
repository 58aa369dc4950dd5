//! Kafka Streams with `processing.guarantee=exactly_once_v2`: state, a changelog, a topic in between.

use std::collections::BTreeMap;

use ottla_client::Client;
use ottla_tests::streams_app::StreamsApp;
use ottla_tests::{Agent, ClientLibrary, KafkaRelease, Record, console};

use super::{broker_and_random, connect, create_topics, let_work_go_on, produce};

const FROM: &str = "to-be-counted";
const TO: &str = "counted";
const PARTITIONS: usize = 2;
const KEYS: usize = 20;
/// New records for each life of the application or its broker.
const RECORDS_PER_LIFE: usize = 3000;
/// What is killed, one after the other.
const VICTIMS: [Victim; 6] =
    [Victim::App, Victim::Broker, Victim::Both, Victim::Broker, Victim::App, Victim::Both];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    App,
    Broker,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_killed_together_with_its_broker_counts_each_record_once() {
    let Some((mut broker, mut random)) = broker_and_random("streams").await else { return };
    let client = connect(&broker).await;
    create_topics(&client, &[FROM, TO], PARTITIONS as i32).await;
    let mut reader =
        ClientLibrary::Java(KafkaRelease::V4_3_1).start(broker.bootstrap_servers(), broker.dir()).await;
    reader.assign_committed(TO, PARTITIONS as i32).await;
    let address = broker.bootstrap_servers().to_owned();
    let dir = broker.dir().to_owned();
    let start = async || StreamsApp::start(&address, FROM, TO, &dir).await;

    let mut app = start().await;
    let mut counted = Vec::new();
    for (life, victim) in VICTIMS.into_iter().enumerate() {
        send(&client, life).await;
        let until = life * RECORDS_PER_LIFE + random.below(RECORDS_PER_LIFE);
        counted.extend(read(&mut reader, &mut app, until.saturating_sub(counted.len())).await);
        let_work_go_on(&client, &mut random).await;
        console::say(&format!("{} counts committed: killed {victim:?}", counted.len()));
        if victim != Victim::Broker {
            app.kill().await;
        }
        if victim != Victim::App {
            broker.kill_and_restart().await;
        }
        if victim != Victim::Broker {
            app = start().await;
        }
    }
    send(&client, VICTIMS.len()).await;
    let sent = (VICTIMS.len() + 1) * RECORDS_PER_LIFE;
    counted.extend(read(&mut reader, &mut app, sent - counted.len()).await);
    app.kill().await;
    counted.extend(reader.drain().await);
    check(&counted);
}

/// The records of one life, which is a number from 0 on. The values of a key are 1, 2, 3 and so on through all lives.
async fn send(client: &Client, life: usize) {
    const PER_KEY: usize = RECORDS_PER_LIFE / KEYS;
    for partition in 0..PARTITIONS {
        let keys = (0..KEYS).filter(|key| key % PARTITIONS == partition);
        let numbers = life * PER_KEY + 1..=(life + 1) * PER_KEY;
        let records: Vec<(String, String)> = numbers
            .flat_map(|number| keys.clone().map(move |key| (format!("key-{key}"), number.to_string())))
            .collect();
        produce(client, FROM, partition as i32, &records).await;
    }
}

async fn read(reader: &mut Agent, app: &mut StreamsApp, count: usize) -> Vec<Record> {
    tokio::select! {
        records = reader.poll(count) => records,
        why = app.failed() => panic!("{why}"),
    }
}

/// The n-th count of a key is n, and it was the key's n-th record that was counted.
fn check(counted: &[Record]) {
    let mut of_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in counted {
        let key = record.key.as_deref().expect("a key");
        of_key.entry(key).or_default().push(record.value.as_deref().expect("a value"));
    }
    assert_eq!(of_key.len(), KEYS);
    let per_key = (VICTIMS.len() + 1) * RECORDS_PER_LIFE / KEYS;
    let wanted: Vec<String> = (1..=per_key).map(|number| format!("{number}:{number}")).collect();
    for (key, counts) in of_key {
        let first_difference = counts.iter().zip(&wanted).find(|(count, wanted)| count != wanted);
        assert_eq!((counts.len(), first_difference), (wanted.len(), None), "of {key}");
    }
}
