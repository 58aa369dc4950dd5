//! Random histories in virtual time: producers that come, write, end and are lost, requests that come late or twice, and
//! a coordinator that is killed between any two writes and started again from its log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ottla_protocol::messages::{TopicName, TransactionalId};
use ottla_protocol::{ErrorCode, StrBytes};
use proptest::prelude::*;

use super::end::{End, Ended};
use super::init::{Init, Initialized};
use super::partition_set::PartitionSet;
use super::record::{self, EncodedRecord};
use super::transaction::{ClientVersion, Outcome, Producer, State, Transaction};

const IDS: usize = 2;
const CLIENTS: usize = 4;
const PARTITIONS: i32 = 3;
const TIMEOUT_MS: i32 = 10_000;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// `knows`: it names who it was.
    Init {
        client: usize,
        knows: bool,
    },
    Write {
        client: usize,
        partition: i32,
    },
    End {
        client: usize,
        outcome: Outcome,
    },
    /// What a client has sent before, once more.
    Repeat {
        client: usize,
    },
    Advance {
        ms: i64,
    },
    /// The next writes of the coordinator come to nothing after so many records.
    KillAfter {
        records: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let outcome = prop_oneof![Just(Outcome::Commit), Just(Outcome::Abort)];
    prop_oneof![
        3 => (client.clone(), any::<bool>()).prop_map(|(client, knows)| Step::Init { client, knows }),
        6 => (client.clone(), 0..PARTITIONS).prop_map(|(client, partition)| Step::Write { client, partition }),
        5 => (client.clone(), outcome).prop_map(|(client, outcome)| Step::End { client, outcome }),
        2 => client.clone().prop_map(|client| Step::Repeat { client }),
        1 => (1..20_000_i64).prop_map(|ms| Step::Advance { ms }),
        1 => (0..3_usize).prop_map(|records| Step::KillAfter { records }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn any_history_decides_each_transaction_once(
        steps in proptest::collection::vec(step(), 1..120),
        first_epoch in prop_oneof![Just(0_i16), i16::MAX - 6..i16::MAX - 1],
    ) {
        let mut world = World::new(first_epoch);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.take(Step::Restart);
        world.take(Step::Advance { ms: 2 * i64::from(TIMEOUT_MS) });
        world.check();
        for (id, transaction) in &world.transactions {
            prop_assert!(!transaction.is_unfinished(), "{id:?} is left in {}", transaction.state_name());
        }
        for partition in world.partitions.values() {
            prop_assert!(partition.open.is_empty(), "left open: {:?}", partition.open);
        }
    }
}

/// The coordinator, its log, the partitions, and the clients.
struct World {
    transactions: BTreeMap<usize, Transaction>,
    log: Vec<EncodedRecord>,
    /// Records that can still be written before the coordinator is gone.
    left: Option<usize>,
    now_ms: i64,
    next_id: i64,
    partitions: BTreeMap<(usize, i32), Partition>,
    clients: Vec<Client>,
    /// Which client was made this producer.
    owners: HashMap<Producer, usize>,
    /// What each producer was told of its transactions: one epoch, one outcome.
    decided: HashMap<(usize, Producer), Outcome>,
}

/// What a log would keep, of one transactional id.
#[derive(Default)]
struct Partition {
    /// The producers whose transaction is open.
    open: BTreeSet<Producer>,
    /// The newest epoch by producer id.
    epochs: HashMap<i64, i16>,
}

#[derive(Default)]
struct Client {
    producer: Option<Producer>,
    last_end: Option<(Producer, Outcome)>,
}

/// The coordinator was killed before it could answer.
struct Killed;

impl World {
    fn new(first_epoch: i16) -> World {
        let mut world = World {
            transactions: BTreeMap::new(),
            log: Vec::new(),
            left: None,
            now_ms: 1_700_000_000_000,
            next_id: 1_000,
            partitions: BTreeMap::new(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            owners: HashMap::new(),
            decided: HashMap::new(),
        };
        for id in 0..IDS {
            let mut first = Transaction::new(world.next_id, TIMEOUT_MS, world.now_ms);
            world.next_id += 1;
            first.producer.epoch = first_epoch;
            assert!(world.write(id, first).is_ok());
        }
        world
    }

    fn take(&mut self, step: Step) {
        let taken = match step {
            Step::Init { client, knows } => self.init(client, knows),
            Step::Write { client, partition } => self.write_records(client, partition),
            Step::End { client, outcome } => match self.clients[client].producer {
                Some(producer) => self.end(client, producer, outcome),
                None => Ok(()),
            },
            Step::Repeat { client } => match self.clients[client].last_end {
                Some((producer, outcome)) => self.end(client, producer, outcome),
                None => Ok(()),
            },
            Step::Advance { ms } => self.advance(ms),
            Step::KillAfter { records } => {
                self.left = Some(records);
                Ok(())
            }
            Step::Restart => Err(Killed),
        };
        if taken.is_err() {
            self.restart();
        }
    }

    fn init(&mut self, client: usize, knows: bool) -> Result<(), Killed> {
        let id = id_of(client);
        let expected = self.clients[client].producer.filter(|_| knows);
        let init = Init { timeout_ms: TIMEOUT_MS, expected };
        let mut initialized =
            self.decide(id, |transaction, new_id, now_ms| transaction.init(init, new_id, now_ms));
        if let Ok(Initialized::Fenced(prepared)) = initialized {
            self.write(id, prepared)?;
            self.finish(id)?;
            initialized =
                self.decide(id, |transaction, new_id, now_ms| transaction.init(init, new_id, now_ms));
        }
        match initialized {
            Ok(Initialized::Ready(next)) => {
                let producer = next.producer;
                self.write(id, next)?;
                self.own(client, producer);
            }
            Ok(Initialized::Fenced(_)) => panic!("what was fenced is complete"),
            Err(error) => {
                assert_eq!(error, ErrorCode::ProducerFenced);
                self.clients[client].producer = None;
            }
        }
        Ok(())
    }

    /// As a write of `transaction.version` 2: the partition is added, then written to.
    fn write_records(&mut self, client: usize, partition: i32) -> Result<(), Killed> {
        let id = id_of(client);
        let Some(producer) = self.clients[client].producer else { return Ok(()) };
        let added = PartitionSet::from_iter([(topic(), partition)]);
        let decided = self.decide(id, |transaction, _, now_ms| {
            transaction.add_partitions(producer, added, ClientVersion::V2, now_ms)
        });
        match decided {
            Ok(Some(next)) => self.write(id, next)?,
            Ok(None) => {}
            Err(_) => {
                self.clients[client].producer = None;
                return Ok(());
            }
        }
        let partition = self.partitions.entry((id, partition)).or_default();
        let newest = partition.epochs.entry(producer.id).or_insert(producer.epoch);
        assert!(producer.epoch >= *newest, "the coordinator let {producer:?} write, which is fenced");
        *newest = producer.epoch;
        partition.open.insert(producer);
        Ok(())
    }

    fn end(&mut self, client: usize, producer: Producer, outcome: Outcome) -> Result<(), Killed> {
        let id = id_of(client);
        self.clients[client].last_end = Some((producer, outcome));
        let end = End { producer, outcome, client_version: ClientVersion::V2 };
        let ended = self.decide(id, |transaction, new_id, now_ms| transaction.end(end, new_id, now_ms));
        let next = match ended {
            Ok(Ended::Now(prepared)) => {
                self.write(id, prepared)?;
                let was_other = self.decided.insert((id, producer), outcome);
                assert_eq!(was_other, None, "{producer:?} had its transaction decided twice");
                let next = self.transactions[&id].complete(self.now_ms).map(|complete| complete.producer);
                self.finish(id)?;
                next.expect("it was prepared")
            }
            Ok(Ended::Before) => {
                let decided = self.decided.get(&(id, producer)).copied();
                // A timeout has aborted it, or a coordinator that was killed before it could answer.
                assert!(decided.is_none_or(|decided| decided == outcome), "{producer:?} is told {outcome:?}");
                self.transactions[&id].producer
            }
            Err(_) => return Ok(()),
        };
        if self.clients[client].producer == Some(producer) {
            self.own(client, next);
        }
        Ok(())
    }

    fn advance(&mut self, ms: i64) -> Result<(), Killed> {
        self.now_ms += ms;
        for id in 0..IDS {
            if self.transactions[&id].is_timed_out(self.now_ms) {
                let fenced = self.decide(id, |transaction, new_id, now_ms| transaction.fence(new_id, now_ms));
                self.write(id, fenced.expect("it is open"))?;
                self.finish(id)?;
            }
        }
        Ok(())
    }

    /// What is not in the log is gone; what was decided is finished first.
    fn restart(&mut self) {
        self.left = None;
        self.transactions = self.replayed();
        for id in 0..IDS {
            assert!(self.finish(id).is_ok());
        }
    }

    fn replayed(&self) -> BTreeMap<usize, Transaction> {
        let mut replayed = BTreeMap::new();
        for EncodedRecord { key, value } in &self.log {
            let (id, transaction) = record::decode(key, value.as_deref()).unwrap().unwrap();
            replayed.insert(id.parse().unwrap(), transaction.expect("nothing expires"));
        }
        replayed
    }

    fn finish(&mut self, id: usize) -> Result<(), Killed> {
        let transaction = &self.transactions[&id];
        let State::Prepare { partitions, .. } = &transaction.state else { return Ok(()) };
        let marker = transaction.producer;
        for (_, partition) in partitions.clone().iter() {
            self.put_marker(id, partition, marker);
        }
        let complete = self.transactions[&id].complete(self.now_ms).expect("it is prepared");
        self.write(id, complete)
    }

    /// KIP-890: a marker has a higher epoch than what it ends.
    fn put_marker(&mut self, id: usize, partition: i32, marker: Producer) {
        let partition = self.partitions.entry((id, partition)).or_default();
        let newest = partition.epochs.entry(marker.id).or_insert(marker.epoch);
        let is_repeated = *newest == marker.epoch && partition.open.iter().all(|open| open.id != marker.id);
        assert!(marker.epoch > *newest || is_repeated, "marker {marker:?} behind epoch {newest}");
        *newest = marker.epoch;
        partition.open.retain(|open| open.id != marker.id);
    }

    fn write(&mut self, id: usize, next: Transaction) -> Result<(), Killed> {
        if self.left == Some(0) {
            return Err(Killed);
        }
        self.left = self.left.map(|left| left - 1);
        self.log.push(record::encode(&transactional_id(id), Some(&next)));
        self.transactions.insert(id, next);
        Ok(())
    }

    fn decide<R>(
        &mut self,
        id: usize,
        decide: impl FnOnce(&Transaction, &dyn Fn() -> Result<i64, ErrorCode>, i64) -> R,
    ) -> R {
        let new_id = self.next_id;
        self.next_id += 1;
        decide(&self.transactions[&id], &|| Ok(new_id), self.now_ms)
    }

    /// Two clients are never the same producer.
    fn own(&mut self, client: usize, producer: Producer) {
        let owner = *self.owners.entry(producer).or_insert(client);
        assert_eq!(owner, client, "{producer:?} was given away twice");
        self.clients[client].producer = Some(producer);
    }

    fn check(&self) {
        let mut live = self.transactions.clone();
        live.values_mut().for_each(|transaction| transaction.last_epoch = None);
        assert_eq!(live, self.replayed());
        for (&(id, index), partition) in &self.partitions {
            let transaction = &self.transactions[&id];
            let is_known = transaction.partitions().is_some_and(|known| known.contains(&topic(), index));
            assert!(partition.open.is_empty() || is_known, "nobody ends {:?} in {index}", partition.open);
        }
        for transaction in self.transactions.values() {
            let is_marker = matches!(transaction.state, State::Prepare { .. });
            assert!(is_marker || transaction.producer.epoch < i16::MAX, "{transaction:?}");
        }
    }
}

/// Two clients share an id.
fn id_of(client: usize) -> usize {
    client % IDS
}

fn transactional_id(id: usize) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_string()))
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}
