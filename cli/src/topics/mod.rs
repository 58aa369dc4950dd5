//! `ottla topics`: create, list, describe, delete, add partitions, delete records.

mod add_partitions;
mod create;
mod delete;
mod delete_records;
mod describe;
mod list;

use clap::{Args, Subcommand};
use ottla_client::TopicOutcome;

use crate::connect::Bootstrap;
use crate::exit::Failure;
use crate::output::{Format, Output};

/// Create, list, describe and delete topics, or their oldest records
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Topics {
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
    Create(create::Create),
    List(list::List),
    Describe(describe::Describe),
    Delete(delete::Delete),
    AddPartitions(add_partitions::AddPartitions),
    DeleteRecords(delete_records::DeleteRecords),
}

const HELP: &str = "\
Examples:
  ottla topics create my-topic --partitions 3
  ottla topics create my-topic --if-not-exists --set retention.ms=60000
  ottla topics list
  ottla topics describe my-topic --format json
  ottla topics add-partitions my-topic --total 6
  ottla topics delete-records my-topic --before 0:1000 1:end
  ottla topics delete my-topic";

impl Topics {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.bootstrap.connect().await?;
        let mut output = Output::new(self.format);
        match self.action {
            Action::Create(create) => create.run(&client, &mut output).await?,
            Action::List(list) => list.run(&client, &mut output).await?,
            Action::Describe(describe) => describe.run(&client, &mut output).await?,
            Action::Delete(delete) => delete.run(&client, &mut output).await?,
            Action::AddPartitions(add) => add.run(&client, &mut output).await?,
            Action::DeleteRecords(delete) => delete.run(&client, &mut output).await?,
        }
        output.flush()
    }
}

/// What was done to one topic.
#[derive(Debug, serde::Serialize)]
struct Done<'a> {
    topic: &'a str,
    result: &'static str,
}

impl std::fmt::Display for Done<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic `{}` {}", self.topic, self.result)
    }
}

/// Prints what was done; the first refusal is the command's failure, with the broker's own words.
fn print_outcomes(
    outcomes: &[TopicOutcome],
    result: &'static str,
    output: &mut Output,
) -> Result<(), Failure> {
    for TopicOutcome { topic, .. } in outcomes.iter().filter(|outcome| outcome.result.is_ok()) {
        output.print(&Done { topic, result })?;
    }
    let refusal = outcomes.iter().find_map(|outcome| Some((&outcome.topic, outcome.result.as_ref().err()?)));
    match refusal {
        Some((topic, error)) => {
            output.flush()?;
            Err(Failure::Refused {
                action: format!("topic `{topic}` was not {result}"),
                error: error.clone(),
            })
        }
        None => Ok(()),
    }
}
