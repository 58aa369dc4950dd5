//! `ottla consume`: prints the records of a topic, from chosen offsets or as a member of a group.

mod group;
mod limits;
mod reader;
mod record;
mod start;

use clap::Args;
use ottla_client::Client;

use crate::connect::Bootstrap;
use crate::exit::Failure;
use crate::output::{Format, Output};
use limits::Limits;
use reader::{Poll, Reader};
use record::RecordFormat;
use start::StartAt;

/// Print the records of a topic
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Consume {
    /// The topic to read
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Begin with the oldest record; with --group, where the group has committed nothing [default: only new records]
    #[arg(long)]
    from_beginning: bool,
    /// Read as a member of this group, and commit what was printed
    #[arg(long, conflicts_with_all = ["partition", "offset"])]
    group: Option<String>,
    /// Only this partition; repeat it for several
    #[arg(long)]
    partition: Vec<i32>,
    /// Begin at this offset: a number, earliest or latest
    #[arg(long, value_name = "OFFSET", conflicts_with = "from_beginning")]
    offset: Option<StartAt>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    record_format: RecordFormat,
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// json: one object for each record, with everything in it; bytes that are not UTF-8 as {"hex":"00ff"}
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  ottla consume my-topic --from-beginning
  ottla consume my-topic --from-beginning --until-end --format json
  ottla consume my-topic --group billing --from-beginning
  ottla consume my-topic --partition 0 --offset 42 --max-messages 1 --print-key --print-headers
  ottla consume my-topic --timeout-ms 5000
Ctrl-C ends it; a group member commits and leaves first. A topic that does not exist yet is waited for, except with
--until-end.";

impl Consume {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.bootstrap.connect().await?;
        let mut output = Output::new(self.format);
        let result = match &self.group {
            Some(group) => self.consume_as_member(&client, group, &mut output).await,
            None => tokio::select! {
                result = self.consume_alone(&client, &mut output) => result,
                _ = tokio::signal::ctrl_c() => Ok(()),
            },
        };
        output.flush()?;
        result
    }

    async fn consume_alone(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let Some(partitions) = start::partitions(client, self).await? else { return Ok(()) };
        let positions = start::positions(client, &self.topic, &partitions, self.start_at()).await?;
        let mut reader = Reader::new(client, self, output);
        reader.assign(positions).await?;
        while reader.poll(reader::MAX_WAIT).await? == Poll::GoOn {}
        Ok(())
    }

    /// Where a partition is begun for which nothing else says it.
    fn start_at(&self) -> StartAt {
        match (self.offset, self.from_beginning) {
            (Some(offset), _) => offset,
            (None, true) => StartAt::Earliest,
            (None, false) => StartAt::Latest,
        }
    }
}
