//! `ottla groups`: list, describe, delete, reset offsets.

mod delete;
mod describe;
mod list;
mod reset_offsets;

use clap::{Args, Subcommand};

use crate::connect::Bootstrap;
use crate::exit::Failure;
use crate::output::{Format, Output};

/// List and describe consumer groups, delete them, reset their offsets
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Groups {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// How to print what was found or done
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::List),
    Describe(describe::Describe),
    Delete(delete::Delete),
    ResetOffsets(reset_offsets::ResetOffsets),
}

const HELP: &str = "\
Examples:
  ottla groups list
  ottla groups describe billing                 offsets and lag of each partition, and who reads it
  ottla groups describe billing --format json
  ottla groups reset-offsets billing my-topic --to earliest
  ottla groups delete billing";

impl Groups {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.bootstrap.connect().await?;
        let mut output = Output::new(self.format);
        match self.action {
            Action::List(list) => list.run(&client, &mut output).await?,
            Action::Describe(describe) => describe.run(&client, &mut output).await?,
            Action::Delete(delete) => delete.run(&client, &mut output).await?,
            Action::ResetOffsets(reset) => reset.run(&client, &mut output).await?,
        }
        output.flush()
    }
}
