//! Runs Ottla side by side with its peers under the same load, and prints each figure beside theirs.

mod artifacts;
mod figure;
mod lab;
mod load;
mod measurements;
mod peers;
mod perf_tools;
mod process;
mod report;
mod sample;
mod streamer;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, io};

use clap::{Parser, Subcommand};

use crate::artifacts::{Artifacts, BuildError};
use crate::figure::Line;
use crate::lab::Lab;
use crate::measurements::Measurement;
use crate::peers::{Peer, StartError};
use crate::report::Format;
use crate::sample::{ROUNDS_MIN, Samples};
use crate::streamer::{StreamerArguments, StreamerError};
use crate::workload::Workload;

#[derive(Debug, Parser)]
#[command(about = "Ottla beside its peers, under the same load on the same machine")]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// The broker beside Kafka and franz-go's kfake, under Kafka's own perf tools (about half an hour)
    Broker(BrokerArguments),
    /// The streaming engine beside PySpark, over topics of a Kafka that runs beside them (about a quarter of an hour)
    Streamer(StreamerArguments),
}

#[derive(Debug, clap::Args)]
struct BrokerArguments {
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A tenth of the records and the fewest rounds, to see whether it all runs
    #[arg(long)]
    quick: bool,
    /// Rounds of produce and consume; from the third on they count as warm
    #[arg(long, value_parser = rounds)]
    rounds: Option<usize>,
    /// The peers to run beside Ottla
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["kafka", "kfake"])]
    against: Vec<Peer>,
    /// Take only the measurements whose name holds this, such as `fsync`
    #[arg(long, default_value = "")]
    only: String,
    /// Measure this `ottla` instead of building one
    #[arg(long)]
    ottla: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot start the runtime of the client: {0}")]
    Runtime(#[from] io::Error),
    #[error("cannot write the report: {0}")]
    Report(#[from] serde_json::Error),
    #[error(transparent)]
    Streamer(#[from] StreamerError),
}

fn main() -> ExitCode {
    let lines = match Arguments::parse().subject {
        Subject::Broker(arguments) => compare(arguments),
        Subject::Streamer(arguments) => streamer::compare(arguments).map_err(CompareError::from),
    };
    match lines {
        Ok(lines) if lines.iter().all(|line| line.ottla.is_some()) => ExitCode::SUCCESS,
        Ok(_) => fail(&"Ottla did not get through every measurement"),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn fmt::Display) -> ExitCode {
    eprintln!("compare: {error}");
    ExitCode::FAILURE
}

fn compare(arguments: BrokerArguments) -> Result<Vec<Line>, CompareError> {
    let workload = workload(arguments.quick, arguments.rounds);
    let measurements = measurements::named(&arguments.only);
    let artifacts = Artifacts::build(arguments.ottla)?;
    let peers = [&[Peer::Ottla], arguments.against.as_slice()].concat();
    let samples = Lab::new(workload, artifacts, peers)?.run(&measurements)?;
    let lines = lines(&measurements, &samples, &arguments.against);
    print!("{}", arguments.format.render(&lines)?);
    Ok(lines)
}

fn workload(quick: bool, rounds: Option<usize>) -> Workload {
    let sized = if quick { Workload::QUICK } else { Workload::FULL };
    Workload { rounds: rounds.unwrap_or(sized.rounds), ..sized }
}

fn rounds(argument: &str) -> Result<usize, String> {
    match argument.parse() {
        Ok(rounds) if rounds >= ROUNDS_MIN => Ok(rounds),
        _ => Err(format!("give a number of at least {ROUNDS_MIN}: only from then on is a round warm")),
    }
}

fn lines(measurements: &[&Measurement], samples: &Samples, against: &[Peer]) -> Vec<Line> {
    let figures = measurements.iter().flat_map(|measurement| measurement.figures);
    figures.flat_map(|figure| against.iter().map(|peer| figure.line(samples, *peer))).collect()
}
