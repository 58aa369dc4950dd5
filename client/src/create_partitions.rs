//! CreatePartitions v1–3 (KIP-195).

use ottla_protocol::VersionRange;
use ottla_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};

use crate::by_topic::topic_name;
use crate::client::{Client, Resend};
use crate::create_topics::TopicOutcome;
use crate::error::{KafkaError, RequestError};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 3 };

impl Client {
    /// Raises each topic to the given number of partitions.
    pub async fn create_partitions(&self, topics: &[(&str, i32)]) -> Result<Vec<TopicOutcome>, RequestError> {
        let raised = |(topic, total): &(&str, i32)| {
            CreatePartitionsTopic::default()
                .with_name(topic_name(topic))
                .with_count(*total)
                .with_assignments(None)
        };
        let request = CreatePartitionsRequest::default()
            .with_topics(topics.iter().map(raised).collect())
            .with_timeout_ms(self.request_timeout_ms());
        let response = self.send_any(Resend::OnlyIfNeverSent, VERSIONS, |_| request.clone()).await?;
        topics.iter().for_each(|(topic, _)| self.cluster().forget_topic(topic));
        let outcomes = response.results.into_iter().map(|answer| TopicOutcome {
            topic: answer.name.to_string(),
            result: KafkaError::new(answer.error_code, answer.error_message).map_or(Ok(()), Err),
        });
        Ok(outcomes.collect())
    }
}
