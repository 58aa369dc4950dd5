//! `ottla topics add-partitions`

use clap::Args;
use ottla_client::Client;

use super::print_outcomes;
use crate::exit::Failure;
use crate::output::Output;

/// Add partitions to a topic; records stay where they are
#[derive(Debug, Args)]
pub(super) struct AddPartitions {
    /// The topic to extend
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// How many partitions the topic has afterwards
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    total: i32,
}

impl AddPartitions {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let outcomes = client.create_partitions(&[(&self.topic, self.total)]).await?;
        print_outcomes(&outcomes, "extended", output)
    }
}
