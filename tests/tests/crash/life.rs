//! One data directory, and the brokers that live in it one after the other.

use std::path::PathBuf;
use std::time::Duration;

use ottla_broker::{Broker, Clock, Config, StartError};
use ottla_protocol::Request;
use ottla_storage::faults::{Fault, FaultyDisk};
use ottla_tests::wire::Wire;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::model::Model;
use crate::random::Random;
use crate::{steps, verify};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Kill,
    PowerCut,
    /// With `flush.ms` alone: what was acknowledged since the last sync may be lost.
    PowerCutWithinInterval,
    /// The broker goes on, and ends cleanly once there is room again.
    DiskFull,
}

/// `log.flush.interval.ms`, where it is set.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
const STEPS_PER_LIFE: usize = 40;
/// A life is some hundred operations long; some lives reach their clean end.
const OPERATIONS_PER_LIFE: usize = 600;
/// Not a wait: a broker that does not answer by then never will.
const HANGS_AFTER: Duration = Duration::from_secs(300);

pub(crate) struct House {
    ending: Ending,
    root: TempDir,
    dir: PathBuf,
    moves: usize,
    /// How often it did not end well.
    pub(crate) crashes: u64,
    clock: Clock,
}

/// A running broker, and what a step needs of it.
pub(crate) struct Life {
    pub(crate) broker: Broker,
    pub(crate) clock: Clock,
    pub(crate) disk_keeps: DiskKeeps,
    disk: FaultyDisk,
    wire: Wire,
    /// `None` where nothing happens to it.
    ending: Option<Ending>,
}

/// What the disk has of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskKeeps {
    Everything,
    /// What is older than the last sync, and a part of the rest.
    WhatIsSynced,
}

/// What came of a request.
pub(crate) enum Answer<T> {
    Given(T),
    /// The broker died on it: it may have been carried out or not.
    Unknown,
}

impl House {
    pub(crate) fn new(ending: Ending) -> House {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("data-0");
        std::fs::create_dir(&dir).expect("a folder in a temporary folder");
        House { ending, root, dir, moves: 0, crashes: 0, clock: Clock::manual(1_800_000_000_000) }
    }

    /// A broker starts, serves, and dies.
    pub(crate) fn live(&mut self, random: &mut Random, model: &mut Model) {
        let disk = FaultyDisk::watch(&self.dir, random.any());
        let fault = if self.ending == Ending::DiskFull { Fault::DiskFull } else { Fault::Kill };
        disk.fault_after(random.below(OPERATIONS_PER_LIFE) as u64, fault);
        // Dropped at the end, it waits for the broker's threads.
        let runtime = runtime();
        let disk = runtime.block_on(async {
            match self.start().await {
                Ok(broker) => {
                    // Else the order of operations, and with it where the fault hits, is not decided by the seed.
                    broker.logs_checked().await;
                    let wire = Wire::connect(&broker.bootstrap_servers()).await;
                    let mut life = self.begin(broker, disk, wire, Some(self.ending));
                    let all = steps::run(&mut life, model, random, STEPS_PER_LIFE);
                    tokio::time::timeout(HANGS_AFTER, all).await.expect("the broker answers");
                    life.end(model, random).await
                }
                Err(error) => {
                    assert!(self.ending == Ending::DiskFull || disk.is_dead(), "{error}");
                    disk
                }
            }
        });
        drop(runtime);
        self.crashes += u64::from(disk.is_dead() || self.ending.cuts_power());
        if self.ending.cuts_power() {
            self.moves += 1;
            let survived = self.root.path().join(format!("data-{}", self.moves));
            disk.cut_power(&survived).expect("what survives can be written");
            self.dir = survived;
        }
    }

    /// Starts a broker that nothing happens to, and compares it with the model.
    pub(crate) fn check(&mut self, model: &mut Model) {
        let disk = FaultyDisk::watch(&self.dir, 0);
        let runtime = runtime();
        runtime.block_on(async {
            let broker =
                self.start().await.unwrap_or_else(|error| panic!("the broker does not start again: {error}"));
            let wire = Wire::connect(&broker.bootstrap_servers()).await;
            let mut life = self.begin(broker, disk, wire, None);
            let all = verify::run(&mut life, model);
            tokio::time::timeout(HANGS_AFTER, all).await.expect("the broker answers");
            // Every other life goes on after a kill, not after a clean stop.
            if self.moves.is_multiple_of(2) { life.broker.shutdown().await } else { life.disk.kill() }
        });
        self.moves += usize::from(!self.ending.cuts_power());
    }

    fn begin(&self, broker: Broker, disk: FaultyDisk, wire: Wire, ending: Option<Ending>) -> Life {
        let disk_keeps = match self.ending {
            Ending::PowerCutWithinInterval => DiskKeeps::WhatIsSynced,
            Ending::Kill | Ending::PowerCut | Ending::DiskFull => DiskKeeps::Everything,
        };
        Life { broker, clock: self.clock.clone(), disk_keeps, disk, wire, ending }
    }

    async fn start(&self) -> Result<Broker, StartError> {
        let mut config = Config::ephemeral().with_data_dir(&self.dir).with_clock(self.clock.clone());
        let settings = [
            ("offsets.topic.num.partitions", "2"),
            ("transaction.state.log.num.partitions", "2"),
            ("log.index.interval.bytes", "300"),
            ("offsets.topic.segment.bytes", "3000"),
        ];
        for (name, value) in settings {
            config = config.with(name, value).expect("a setting");
        }
        let flushed = match self.ending {
            Ending::Kill | Ending::DiskFull => None,
            Ending::PowerCut => Some(("log.flush.interval.messages", "1".to_owned())),
            Ending::PowerCutWithinInterval => {
                Some(("log.flush.interval.ms", FLUSH_INTERVAL.as_millis().to_string()))
            }
        };
        if let Some((name, value)) = flushed {
            config = config.with(name, &value).expect("a setting");
        }
        Broker::start(config).await
    }
}

impl Ending {
    fn cuts_power(self) -> bool {
        matches!(self, Ending::PowerCut | Ending::PowerCutWithinInterval)
    }
}

impl Life {
    /// A dead broker's answers count for nothing: a real one could not have sent them.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: R) -> Answer<R::Response> {
        match self.wire.try_call(version, request).await {
            Ok(response) if !self.disk.is_dead() => Answer::Given(response),
            _ => {
                assert!(self.disk.is_dead(), "the broker closed the connection");
                Answer::Unknown
            }
        }
    }

    /// To be called for what a broker has no reason to refuse.
    pub(crate) fn refused(&self, what: &str, error: i16) {
        let was_full = self.ending == Some(Ending::DiskFull);
        assert!(was_full, "{what} is refused with error {error}: {}", self.operations());
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.disk.is_dead()
    }

    pub(crate) fn operations(&self) -> String {
        self.disk.trace()
    }

    async fn end(self, model: &mut Model, random: &mut Random) -> FaultyDisk {
        self.disk.make_room();
        if random.below(3) > 0 {
            self.broker.shutdown().await;
            if !self.disk.is_dead() {
                model.all_is_synced();
            }
        } else {
            self.disk.kill();
        }
        self.disk
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
