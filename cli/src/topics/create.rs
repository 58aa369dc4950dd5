//! `ottla topics create`

use clap::Args;
use ottla_client::{Client, NewTopic, TopicOutcome};
use ottla_protocol::ErrorCode;

use super::{Done, print_outcomes};
use crate::exit::Failure;
use crate::output::Output;

/// Create topics
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The topics to create
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Number of partitions [default: the broker's num.partitions]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's default.replication.factor]
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// One of Kafka's topic settings; repeat it for several
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    configs: Vec<(String, String)>,
    /// A topic that exists already is no error
    #[arg(long)]
    if_not_exists: bool,
}

impl Create {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let topics = self.topics.iter().map(|name| NewTopic {
            name: name.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.clone(),
        });
        let mut outcomes = client.create_topics(&topics.collect::<Vec<_>>()).await?;
        if self.if_not_exists {
            for TopicOutcome { topic, .. } in outcomes.extract_if(.., |outcome| existed(outcome)) {
                output.print(&Done { topic: &topic, result: "exists already" })?;
            }
        }
        print_outcomes(&outcomes, "created", output)
    }
}

fn existed(outcome: &TopicOutcome) -> bool {
    outcome.result.as_ref().is_err_and(|error| error.code == ErrorCode::TopicAlreadyExists)
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE, such as retention.ms=60000")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
