//! `TransactionalMessageCopier`: consume, transform, produce, with the consumed offsets in the transaction.

use ottla_tests::copier::{Copier, Copy};
use ottla_tests::killable::KillableBroker;
use ottla_tests::random::Random;
use ottla_tests::{ClientLibrary, KafkaRelease, console};

use super::{broker_and_random, connect, create_topics, let_work_go_on, produce};

const FROM: &str = "to-be-copied";
const TO: &str = "copied";
const PARTITIONS: usize = 2;
const RECORDS_PER_PARTITION: usize = 4000;
const RECORDS_PER_TRANSACTION: usize = 20;
/// A copier that was killed waits for its last transaction to be over.
const TRANSACTION_TIMEOUT_MS: u32 = 2000;
/// What is killed, one after the other.
const VICTIMS: [Victim; 6] =
    [Victim::Copier, Victim::Broker, Victim::Both, Victim::Broker, Victim::Copier, Victim::Both];
/// A copier that its broker has fenced fails, and is started again; more often than this it is broken.
const LIVES_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Copier,
    Broker,
    Both,
}

/// One copier per partition, started again until each has copied all.
struct Copiers<'a> {
    broker: &'a mut KillableBroker,
    running: [Running; PARTITIONS],
}

struct Running {
    copy: Copy,
    /// `None` when everything is copied.
    copier: Option<Copier>,
    lives: usize,
    remaining: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copier_killed_together_with_its_broker_copies_each_record_once() {
    let Some((mut broker, mut random)) = broker_and_random("copier").await else { return };
    let client = connect(&broker).await;
    create_topics(&client, &[FROM, TO], PARTITIONS as i32).await;
    for partition in 0..PARTITIONS {
        produce(&client, FROM, partition as i32, &records_of(partition)).await;
    }
    let mut copiers = Copiers::start(&mut broker).await;
    for (left, victim) in kills(&mut random) {
        while copiers.remaining() > left {
            copiers.next().await;
        }
        let_work_go_on(&client, &mut random).await;
        console::say(&format!("{} records before the end: killed {victim:?}", copiers.remaining()));
        copiers.kill(victim).await;
    }
    while copiers.remaining() > 0 {
        copiers.next().await;
    }
    check(&broker).await;
}

fn records_of(partition: usize) -> Vec<(String, String)> {
    let record = |n| (format!("key-{}", n % 10), format!("{partition}/{n}"));
    (0..RECORDS_PER_PARTITION).map(record).collect()
}

/// How many records are left to copy when what is killed: spread over the whole run.
fn kills(random: &mut Random) -> Vec<(usize, Victim)> {
    let between = PARTITIONS * RECORDS_PER_PARTITION / (VICTIMS.len() + 1);
    let left = |n: usize| (VICTIMS.len() - n) * between + random.below(between);
    (0..VICTIMS.len()).map(left).zip(VICTIMS).collect()
}

async fn check(broker: &KillableBroker) {
    let mut reader =
        ClientLibrary::Java(KafkaRelease::V4_3_1).start(broker.bootstrap_servers(), broker.dir()).await;
    reader.assign_committed(TO, PARTITIONS as i32).await;
    let copied = reader.drain().await;
    for partition in 0..PARTITIONS {
        let of_partition = copied.iter().filter(|record| record.partition == partition as i32);
        let values: Vec<&str> =
            of_partition.map(|record| record.value.as_deref().expect("a value")).collect();
        let sent = records_of(partition);
        let wanted: Vec<&str> = sent.iter().map(|(_, value)| value.as_str()).collect();
        let first_difference = values.iter().zip(&wanted).position(|(value, wanted)| value != wanted);
        assert_eq!((values.len(), first_difference), (wanted.len(), None), "of partition {partition}");
    }
}

impl Copiers<'_> {
    async fn start(broker: &mut KillableBroker) -> Copiers<'_> {
        let mut running = Vec::new();
        for partition in 0..PARTITIONS {
            let copy = Copy {
                from_topic: FROM.to_owned(),
                to_topic: TO.to_owned(),
                partition: partition as i32,
                records_per_transaction: RECORDS_PER_TRANSACTION,
                transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
            };
            running.push(Running::start(broker, copy).await);
        }
        let running = running.try_into().unwrap_or_else(|_| unreachable!("as many as there are partitions"));
        Copiers { broker, running }
    }

    fn remaining(&self) -> usize {
        self.running.iter().map(|running| running.remaining).sum()
    }

    /// Waits until one of them has something to say, or starts again what has failed.
    async fn next(&mut self) {
        let [first, second] = &mut self.running;
        tokio::select! {
            () = first.next(self.broker), if first.copier.is_some() => {}
            () = second.next(self.broker), if second.copier.is_some() => {}
        }
    }

    /// Kills the broker, the copier that has most to do, or both at once, and starts them again.
    async fn kill(&mut self, victim: Victim) {
        let busiest = self.running.iter_mut().max_by_key(|running| running.remaining).expect("two of them");
        let is_copier_killed = victim != Victim::Broker;
        if let Some(copier) = busiest.copier.as_mut().filter(|_| is_copier_killed) {
            copier.kill().await;
        }
        if victim != Victim::Copier {
            self.broker.kill_and_restart().await;
        }
        if is_copier_killed && busiest.copier.is_some() {
            busiest.restart(self.broker).await;
            busiest.next(self.broker).await;
        }
    }
}

impl Running {
    async fn start(broker: &KillableBroker, copy: Copy) -> Running {
        let copier = Copier::start(broker.bootstrap_servers(), &copy, broker.dir()).await;
        Running { copy, copier: Some(copier), lives: 1, remaining: RECORDS_PER_PARTITION }
    }

    async fn next(&mut self, broker: &KillableBroker) {
        let copier = self.copier.as_mut().expect("it is asked while it runs");
        if let Some(status) = copier.next_status().await {
            self.remaining = status.remaining.min(self.remaining);
            return;
        }
        if copier.exit_status().await.success() {
            self.copier = None;
            self.remaining = 0;
        } else {
            console::say(&format!("copier {} failed, and starts again", self.copy.partition));
            self.restart(broker).await;
        }
    }

    async fn restart(&mut self, broker: &KillableBroker) {
        self.lives += 1;
        let logged = || self.copier.as_ref().map(Copier::logged).unwrap_or_default();
        assert!(
            self.lives <= LIVES_MAX,
            "the copier of partition {} does not end: {}",
            self.copy.partition,
            logged()
        );
        self.copier = Some(Copier::start(broker.bootstrap_servers(), &self.copy, broker.dir()).await);
    }
}
