//! `ottla log`: looks into log files without a broker.

mod dump;
mod index;
mod segment;

use clap::{Args, Subcommand};

use crate::exit::Failure;
use crate::output::{Format, Output};

/// Look into the files of a partition's log, without a broker
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Log {
    #[command(subcommand)]
    action: Action,
    /// How to print what is in the files
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    Dump(dump::Dump),
}

const HELP: &str = "\
Examples:
  ottla log dump ./ottla-data/my-topic-0
  ottla log dump --records ./ottla-data/my-topic-0/00000000000000000000.log
  ottla log dump --format json ./ottla-data/my-topic-0 > my-topic-0.jsonl
Reads Kafka's files as well, while either broker runs or not. Exit code 1 if a batch or an index is damaged.";

impl Log {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut output = Output::new(self.format);
        let result = match self.action {
            Action::Dump(dump) => dump.run(&mut output),
        };
        output.flush()?;
        result
    }
}
