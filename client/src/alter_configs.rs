//! IncrementalAlterConfigs v0–1: settings of a topic that is there (KIP-339).

use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::{StrBytes, VersionRange};

use crate::client::Client;
use crate::error::{KafkaError, RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };
const TOPIC_RESOURCE: i8 = 2;
const SET: i8 = 0;

impl Client {
    /// Sets these; others stay as they are.
    pub async fn set_topic_configs(&self, topic: &str, configs: &[(&str, &str)]) -> Result<(), RequestError> {
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configs(configs.iter().map(set).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.call_any(VERSIONS, |_| request.clone()).await?;
        let altered = response.responses.into_iter().find(|result| result.resource_name.as_str() == topic);
        let altered = altered.ok_or(RequestError::Incomplete { api: ApiKey::IncrementalAlterConfigs })?;
        match KafkaError::new(altered.error_code, altered.error_message) {
            Some(error) => Err(RequestError::Kafka { subject: Subject::Topic(topic.to_owned()), error }),
            None => Ok(()),
        }
    }
}

fn set((name, value): &(&str, &str)) -> AlterableConfig {
    AlterableConfig::default()
        .with_name(StrBytes::from_string((*name).to_owned()))
        .with_config_operation(SET)
        .with_value(Some(StrBytes::from_string((*value).to_owned())))
}
