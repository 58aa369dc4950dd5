//! `ottla topics delete`

use clap::Args;
use ottla_client::{Client, TopicOutcome};
use ottla_protocol::ErrorCode;

use super::{Done, print_outcomes};
use crate::exit::Failure;
use crate::output::Output;

/// Delete topics with all their records
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The topics to delete
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that does not exist is no error
    #[arg(long)]
    if_exists: bool,
}

impl Delete {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let mut outcomes = client.delete_topics(&topics).await?;
        if self.if_exists {
            for TopicOutcome { topic, .. } in outcomes.extract_if(.., |outcome| was_missing(outcome)) {
                output.print(&Done { topic: &topic, result: "does not exist" })?;
            }
        }
        print_outcomes(&outcomes, "deleted", output)
    }
}

fn was_missing(outcome: &TopicOutcome) -> bool {
    outcome.result.as_ref().is_err_and(|error| error.code == ErrorCode::UnknownTopicOrPartition)
}
