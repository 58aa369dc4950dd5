//! `compare streamer`: the engine beside PySpark, each running the same SQL over the same topic of the same broker.

mod engine;
mod install;
mod measurements;
mod process_tree;
mod progress;
mod query;
mod run;
mod samples;
mod topics;
mod workload;

use std::io;
use std::path::PathBuf;

use crate::artifacts::{Artifacts, BuildError};
use crate::figure::Line;
use crate::load::LoadError;
use crate::peers::{Peer, RunningBroker, Settings, StartError};
use crate::report::Format;
use engine::Engines;
use measurements::Measurement;
use samples::Samples;
use workload::Workload;

#[derive(Debug, clap::Args)]
pub(crate) struct StreamerArguments {
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A tenth of the records and of the micro-batches, to see whether it all runs
    #[arg(long)]
    quick: bool,
    /// Take only the measurements whose name holds this, such as `windows`
    #[arg(long, default_value = "")]
    only: String,
    /// Whose topics are read: ottla or kafka
    #[arg(long, value_enum, default_value_t = Host::Kafka)]
    broker: Host,
    /// Measure this `ottla-stream` instead of building one
    #[arg(long)]
    ottla_stream: Option<PathBuf>,
    /// Take PySpark 4.1.1 from this Python instead of installing it
    #[arg(long)]
    python: Option<PathBuf>,
    /// Leave Spark out
    #[arg(long)]
    alone: bool,
}

/// The broker that holds the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Host {
    Kafka,
    Ottla,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamerError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot fill a topic: {0}")]
    Load(#[from] LoadError),
    #[error("cannot start the runtime of the client: {0}")]
    Runtime(#[from] io::Error),
    #[error("cannot write the report: {0}")]
    Report(#[from] serde_json::Error),
}

/// One comparison: what measurements are given.
#[derive(Debug)]
struct Lab {
    workload: Workload,
    engines: Engines,
    broker: RunningBroker,
    runtime: tokio::runtime::Runtime,
}

pub(crate) fn compare(arguments: StreamerArguments) -> Result<Vec<Line>, StreamerError> {
    let workload = if arguments.quick { Workload::QUICK } else { Workload::FULL };
    let chosen = measurements::named(&arguments.only);
    let engines = Engines::prepare(arguments.ottla_stream, arguments.python, arguments.alone)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (peer, artifacts) = match arguments.broker {
        Host::Kafka => (Peer::Kafka, Artifacts::of_kafka()?),
        Host::Ottla => (Peer::Ottla, Artifacts::of_ottla()?),
    };
    let broker = runtime.block_on(peer.start(&artifacts, Settings::DEFAULT))?;
    eprintln!(
        "{}, topics on {}, {} cores",
        engines.versions(),
        peer.name(),
        std::thread::available_parallelism()?
    );
    let lab = Lab { workload, engines, broker, runtime };
    let samples = lab.measure(&chosen)?;
    let lines: Vec<_> =
        chosen.iter().flat_map(|measurement| samples.lines(measurement.name, measurement.figures)).collect();
    print!("{}", arguments.format.render(&lines)?);
    Ok(lines)
}

impl Lab {
    /// Both engines one after the other, so that a machine that gets slower does so for both.
    fn measure(&self, measurements: &[&Measurement]) -> Result<Samples, StreamerError> {
        let mut samples = Samples::default();
        for measurement in measurements {
            let name = measurement.name;
            self.runtime.block_on(topics::prepare(self.broker.address, &self.workload, measurement.topic))?;
            for engine in self.engines.all() {
                eprintln!("{name} of {}", engine.name());
                match (measurement.measure)(self, engine) {
                    Ok(values) => samples.add(name, engine, values),
                    Err(error) => eprintln!("{name} of {} fails: {error}", engine.name()),
                }
            }
        }
        Ok(samples)
    }
}
