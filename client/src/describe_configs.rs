//! DescribeConfigs v1–4: the settings of topics.

use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use ottla_protocol::{StrBytes, VersionRange};

use crate::client::Client;
use crate::error::{KafkaError, RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 4 };
const TOPIC_RESOURCE: i8 = 2;
/// `config_source` of a value that was set on the topic itself.
const DYNAMIC_TOPIC_CONFIG: i8 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` where the value is secret.
    pub value: Option<String>,
    /// True if it was set on this topic; false for a default of the broker or of Kafka.
    pub is_set_on_topic: bool,
}

impl Client {
    pub async fn describe_topic_configs(&self, topic: &str) -> Result<Vec<ConfigEntry>, RequestError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let response = self.call_any(VERSIONS, |_| request.clone()).await?;
        let described = response.results.into_iter().find(|result| result.resource_name.as_str() == topic);
        let described = described.ok_or(RequestError::Incomplete { api: ApiKey::DescribeConfigs })?;
        match KafkaError::new(described.error_code, described.error_message) {
            Some(error) => Err(RequestError::Kafka { subject: Subject::Topic(topic.to_owned()), error }),
            None => Ok(described.configs.into_iter().map(config_entry).collect()),
        }
    }
}

fn config_entry(config: DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: config.name.to_string(),
        value: config.value.map(|value| value.to_string()),
        is_set_on_topic: config.config_source == DYNAMIC_TOPIC_CONFIG,
    }
}
