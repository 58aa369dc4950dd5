//! CreateTopics v5–7. v7: the answer carries topic ids (KIP-516).

use ottla_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::{StrBytes, VersionRange};

use crate::by_topic::topic_name;
use crate::client::{Client, Resend};
use crate::error::{KafkaError, RequestError};

const VERSIONS: VersionRange = VersionRange { min: 5, max: 7 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// `None`: the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// `None`: the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Kafka's topic settings, such as `("retention.ms", "1000")`.
    pub configs: Vec<(String, String)>,
}

/// What became of one topic of an admin request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOutcome {
    pub topic: String,
    pub result: Result<(), KafkaError>,
}

impl NewTopic {
    /// With as many partitions and replicas as the broker makes by default.
    pub fn new(name: impl Into<String>) -> NewTopic {
        NewTopic { name: name.into(), partitions: None, replication_factor: None, configs: Vec::new() }
    }

    pub fn with_partitions(self, partitions: i32) -> NewTopic {
        NewTopic { partitions: Some(partitions), ..self }
    }
}

impl Client {
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicOutcome>, RequestError> {
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable_topic).collect())
            .with_timeout_ms(self.request_timeout_ms());
        let response = self.send_any(Resend::OnlyIfNeverSent, VERSIONS, |_| request.clone()).await?;
        let outcome = |topic: &NewTopic| {
            let answer = response.topics.iter().find(|answer| answer.name.as_str() == topic.name)?;
            let error = KafkaError::new(answer.error_code, answer.error_message.as_ref());
            Some(TopicOutcome { topic: topic.name.clone(), result: error.map_or(Ok(()), Err) })
        };
        Ok(topics.iter().filter_map(outcome).collect())
    }
}

/// −1 stands for the broker's default (KIP-464).
fn creatable_topic(topic: &NewTopic) -> CreatableTopic {
    let config = |(name, value): &(String, String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(topic.configs.iter().map(config).collect())
}
