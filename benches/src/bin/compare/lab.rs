//! One run of the comparison: the same workload on every broker, round by round, so that a machine that
//! gets slower or faster on the way does so for all of them.

use std::collections::HashSet;
use std::future::Future;
use std::io;

use crate::artifacts::Artifacts;
use crate::measurements::{Life, MEASUREMENTS, Measurement};
use crate::peers::{Peer, RunningBroker, StartError};
use crate::perf_tools::PerfTools;
use crate::sample::Samples;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Brokers started one after the other, for the figures of a start.
    pub(crate) starts: usize,
    /// Times that the records go in and out of a running broker.
    pub(crate) rounds: usize,
    pub(crate) records: u64,
    pub(crate) record_bytes: u64,
    pub(crate) latency_records: u64,
}

impl Workload {
    pub(crate) fn gigabytes(&self) -> f64 {
        (self.records * self.record_bytes) as f64 / 1e9
    }
}

#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) workload: Workload,
    artifacts: Artifacts,
    runtime: tokio::runtime::Runtime,
    peers: Vec<Peer>,
}

/// What could not be measured, and is not tried again in later rounds.
type Failed = HashSet<(&'static str, Peer)>;

impl Lab {
    pub(crate) fn new(workload: Workload, artifacts: Artifacts, peers: Vec<Peer>) -> io::Result<Lab> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Lab { workload, artifacts, runtime, peers })
    }

    pub(crate) fn run(&self) -> Result<Samples, StartError> {
        let mut samples = Samples::default();
        let mut failed = Failed::new();
        for round in 0..self.workload.starts {
            for peer in self.peers_in_order(round) {
                let broker = self.start(peer)?;
                self.measure_all(Life::Fresh, &broker, round, &mut samples, &mut failed);
            }
        }
        let brokers = self.peers.iter().map(|peer| self.start(*peer)).collect::<Result<Vec<_>, _>>()?;
        for round in 0..self.workload.rounds {
            for peer in self.peers_in_order(round) {
                for broker in brokers.iter().filter(|broker| broker.peer == peer) {
                    self.measure_all(Life::Kept, broker, round, &mut samples, &mut failed);
                }
            }
        }
        Ok(samples)
    }

    pub(crate) fn perf_tools(&self, broker: &RunningBroker) -> PerfTools<'_> {
        PerfTools {
            class_path: &self.artifacts.kafka_class_path,
            bootstrap_servers: broker.address.to_string(),
        }
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    fn start(&self, peer: Peer) -> Result<RunningBroker, StartError> {
        self.block_on(peer.start(&self.artifacts))
    }

    /// Each round begins with another broker, so that none is always measured after the same neighbour.
    fn peers_in_order(&self, round: usize) -> impl Iterator<Item = Peer> {
        let first = round % self.peers.len().max(1);
        self.peers.iter().copied().cycle().skip(first).take(self.peers.len())
    }

    fn measure_all(
        &self,
        life: Life,
        broker: &RunningBroker,
        round: usize,
        samples: &mut Samples,
        failed: &mut Failed,
    ) {
        for Measurement { name, measure, .. } in MEASUREMENTS.iter().filter(|of| of.life == life) {
            let peer = broker.peer;
            if failed.contains(&(*name, peer)) {
                continue;
            }
            eprintln!("round {}: {name} of {}", round + 1, peer.name());
            match measure(self, broker, round) {
                Ok(readings) => readings.into_iter().for_each(|reading| samples.add(peer, reading)),
                Err(error) => {
                    eprintln!("{name} of {} fails: {error}", peer.name());
                    failed.insert((*name, peer));
                }
            }
        }
    }
}
