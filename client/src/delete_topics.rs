//! DeleteTopics v6, by name.

use ottla_protocol::VersionRange;
use ottla_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};

use crate::by_topic::topic_name;
use crate::client::{Client, Resend};
use crate::create_topics::TopicOutcome;
use crate::error::{KafkaError, RequestError};

const VERSIONS: VersionRange = VersionRange { min: 6, max: 6 };

impl Client {
    pub async fn delete_topics(&self, topics: &[&str]) -> Result<Vec<TopicOutcome>, RequestError> {
        let named = |topic: &&str| DeleteTopicState::default().with_name(Some(topic_name(topic)));
        let request = DeleteTopicsRequest::default()
            .with_topics(topics.iter().map(named).collect())
            .with_timeout_ms(self.request_timeout_ms());
        let response = self.send_any(Resend::OnlyIfNeverSent, VERSIONS, |_| request.clone()).await?;
        topics.iter().for_each(|topic| self.cluster().forget_topic(topic));
        let outcome = |answer: ottla_protocol::messages::delete_topics_response::DeletableTopicResult| {
            let error = KafkaError::new(answer.error_code, answer.error_message);
            Some(TopicOutcome { topic: answer.name?.to_string(), result: error.map_or(Ok(()), Err) })
        };
        Ok(response.responses.into_iter().filter_map(outcome).collect())
    }
}
