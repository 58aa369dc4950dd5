//! `ottla serve`: the broker.

mod config;
mod open_files;
mod parent;
mod ready;
mod shutdown;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ottla_broker::Broker;

use crate::exit::Failure;
use crate::logging;
use ready::Ready;

/// Run the broker (the default)
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP)]
pub(crate) struct Serve {
    /// Address to listen on; repeat it for several. Port 0 takes a free one, an empty host is every interface
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
    /// Address that clients are told to use, one for each --listen [default: the same]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Vec<String>,
    /// Directory of the logs, as Kafka's log.dirs [default: ./ottla-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the data in a temporary directory, which goes with the broker
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// What acknowledged records survive: the end of the process, a power cut after a second, or any
    #[arg(long, value_enum, value_name = "POLICY")]
    durability: Option<DurabilityPolicy>,
    /// Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one of Kafka's properties; repeat it for several
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The line on stdout that says that the broker serves
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    ready: ready::ReadyFormat,
    /// Exit when the process that started this one has ended (on Windows: when stdin is closed)
    #[arg(long)]
    exit_with_parent: bool,
}

/// Short for Kafka's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DurabilityPolicy {
    /// The end of the process, however it ends; the default
    Process,
    /// A power cut, but for the last second (log.flush.interval.ms=1000)
    Interval,
    /// Any power cut: each acknowledgement waits for the disk (log.flush.interval.messages=1)
    Power,
}

const HELP: &str = "\
Examples:
  ottla serve
  ottla serve --listen localhost:9092 --listen 0.0.0.0:9093 --advertise localhost:9092 --advertise my-host:9093
  ottla serve --data-dir 'C:\\kafka data' --override log.retention.hours=1
  ottla serve --config server.properties
  ottla serve --durability power
  ottla serve --ephemeral --listen :0 --ready json --exit-with-parent

The log goes to stderr; OTTLA_LOG=debug says more. Ctrl-C, Ctrl-Break and SIGTERM end the broker cleanly, a second
Ctrl-C at once. Nothing acknowledged is lost either way;
--durability power keeps it through a power cut, too.";

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        logging::start();
        open_files::raise_limit();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
        let result = runtime.block_on(self.serve());
        runtime.shutdown_background();
        result
    }

    async fn serve(self) -> Result<(), Failure> {
        // Before anything starts, so that no signal is missed.
        let shutdown = shutdown::requested(self.exit_with_parent).map_err(Failure::Runtime)?;
        let broker = Broker::start(self.broker_config()?).await?;
        Ready::of(&broker).print(self.ready)?;
        let reason = shutdown.await;
        tracing::info!("{reason}: shutting down");
        tokio::select! {
            () = broker.shutdown() => Ok(()),
            () = shutdown::interrupted_again() => Err(Failure::Interrupted("interrupted while shutting down")),
        }
    }
}
