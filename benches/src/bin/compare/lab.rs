//! One run of the comparison: the same workload on every broker, round by round, so that a machine that
//! gets slower or faster on the way does so for all of them.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::time::Instant;

use crate::artifacts::Artifacts;
use crate::measurements::{Measure, MeasureBroker, MeasurePeer, Measurement, Readings};
use crate::peers::{Peer, RunningBroker, Settings, StartError};
use crate::perf_tools::PerfTools;
use crate::sample::Samples;
use crate::workload::Workload;

#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) workload: Workload,
    artifacts: Artifacts,
    runtime: tokio::runtime::Runtime,
    peers: Vec<Peer>,
}

/// What has been measured so far.
#[derive(Debug, Default)]
struct Progress {
    samples: Samples,
    /// What could not be measured, and is not tried again in later rounds.
    failed: HashSet<(&'static str, Peer)>,
    /// What could be measured once at least.
    measured: HashSet<(&'static str, Peer)>,
}

impl Lab {
    pub(crate) fn new(workload: Workload, artifacts: Artifacts, peers: Vec<Peer>) -> io::Result<Lab> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Lab { workload, artifacts, runtime, peers })
    }

    pub(crate) fn run(&self, measurements: &[&Measurement]) -> Result<Samples, StartError> {
        let mut progress = Progress::default();
        for measurement in measurements {
            match measurement.measure {
                Measure::Fresh(measure) => self.measure_fresh(measurement.name, measure, &mut progress)?,
                Measure::Own(measure) => self.measure_own(measurement.name, measure, &mut progress),
                Measure::Kept(_) => {}
            }
        }
        self.measure_kept(measurements, &mut progress)?;
        Ok(progress.samples)
    }

    fn measure_fresh(
        &self,
        name: &'static str,
        measure: MeasureBroker,
        progress: &mut Progress,
    ) -> Result<(), StartError> {
        for round in 0..self.workload.starts {
            for peer in self.peers_in_order(round) {
                let broker = self.start(peer)?;
                progress.add(name, peer, round, || measure(self, &broker, round));
            }
        }
        Ok(())
    }

    fn measure_own(&self, name: &'static str, measure: MeasurePeer, progress: &mut Progress) {
        for round in 0..self.workload.runs {
            for peer in self.peers_in_order(round) {
                progress.add(name, peer, round, || measure(self, peer));
            }
        }
    }

    fn measure_kept(&self, measurements: &[&Measurement], progress: &mut Progress) -> Result<(), StartError> {
        let kept: Vec<(&'static str, MeasureBroker)> = measurements.iter().filter_map(of_kept).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let brokers = self.peers.iter().map(|peer| self.start(*peer)).collect::<Result<Vec<_>, _>>()?;
        for round in 0..self.workload.rounds {
            for peer in self.peers_in_order(round) {
                for broker in brokers.iter().filter(|broker| broker.peer == peer) {
                    for (name, measure) in &kept {
                        progress.add(name, peer, round, || measure(self, broker, round));
                    }
                }
            }
        }
        Ok(())
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

    pub(crate) fn start_with(&self, peer: Peer, settings: Settings) -> Result<RunningBroker, StartError> {
        self.block_on(peer.start(&self.artifacts, settings))
    }

    pub(crate) fn kill_and_restart(&self, broker: &mut RunningBroker) -> Result<(), StartError> {
        self.block_on(broker.kill_and_restart())
    }

    fn start(&self, peer: Peer) -> Result<RunningBroker, StartError> {
        self.start_with(peer, Settings::DEFAULT)
    }

    /// Each round begins with another broker, so that none is always measured after the same neighbour.
    fn peers_in_order(&self, round: usize) -> impl Iterator<Item = Peer> {
        let first = round % self.peers.len().max(1);
        self.peers.iter().copied().cycle().skip(first).take(self.peers.len())
    }
}

impl Progress {
    fn add(&mut self, name: &'static str, peer: Peer, round: usize, measure: impl FnOnce() -> Readings) {
        if self.failed.contains(&(name, peer)) {
            return;
        }
        let what = format!("round {}: {name} of {}", round + 1, peer.name());
        let started_at = Instant::now();
        match measure() {
            Ok(readings) => {
                eprintln!("{what} ({:.1} s)", started_at.elapsed().as_secs_f64());
                self.measured.insert((name, peer));
                readings.into_iter().for_each(|reading| self.samples.add(peer, reading));
            }
            // A peer may fail in one round and not in the next, as Kafka does now and then between two transactions.
            Err(error) if peer != Peer::Ottla && self.measured.contains(&(name, peer)) => {
                eprintln!("{what} fails this time: {error}");
            }
            Err(error) => {
                eprintln!("{what} fails: {error}");
                self.failed.insert((name, peer));
            }
        }
    }
}

fn of_kept(measurement: &&Measurement) -> Option<(&'static str, MeasureBroker)> {
    match measurement.measure {
        Measure::Kept(measure) => Some((measurement.name, measure)),
        Measure::Fresh(_) | Measure::Own(_) => None,
    }
}
