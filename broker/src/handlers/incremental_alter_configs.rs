//! IncrementalAlterConfigs v0–1 (KIP-339).
//!
//! Sets, deletes, appends to and subtracts from a topic's settings; they hold from the next append or read on. Each
//! resource changes as a whole or not at all.
//!
//! Not done: changing the broker's own settings while it runs; a broker resource is answered INVALID_REQUEST.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::config::value::ConfigType;
use crate::config::{TOPIC_SETTINGS, TopicSettings};
use crate::context::RequestContext;
use crate::handlers::{Handler, config_resource};
use crate::state::BrokerState;
use crate::topics::{InvalidTopicConfig, TopicWriteError};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Handler for IncrementalAlterConfigsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 1 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> IncrementalAlterConfigsResponse {
        let responses = self.resources.into_iter().map(|resource| {
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match alter(&broker, &resource, self.validate_only) {
                Ok(()) => response,
                Err(error) => response
                    .with_error_code(error.code().code())
                    .with_error_message(Some(StrBytes::from_string(error.to_string()))),
            }
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }
}

#[derive(Debug, thiserror::Error)]
enum AlterError {
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("only a topic's configuration can be changed while the broker runs")]
    NotATopic,
    #[error("{name}: operation {operation} needs a value")]
    NoValue { name: String, operation: i8 },
    #[error("{name}: operation {operation} does not apply to it")]
    Operation { name: String, operation: i8 },
    #[error(transparent)]
    Config(#[from] InvalidTopicConfig),
    #[error(transparent)]
    Write(#[from] TopicWriteError),
}

impl AlterError {
    fn code(&self) -> ErrorCode {
        match self {
            AlterError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            AlterError::NotATopic | AlterError::NoValue { .. } => ErrorCode::InvalidRequest,
            AlterError::Operation { .. } | AlterError::Config(_) => ErrorCode::InvalidConfig,
            AlterError::Write(error) => error.code(),
        }
    }
}

fn alter(
    broker: &BrokerState,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), AlterError> {
    if resource.resource_type != config_resource::TOPIC {
        return Err(AlterError::NotATopic);
    }
    let topic = broker.topics.by_name(&resource.resource_name).ok_or(AlterError::UnknownTopic)?;
    let mut overrides = topic.overrides.clone();
    for change in &resource.configs {
        apply(&mut overrides, &topic.settings, change)?;
    }
    let settings = broker.topics.resolve(&overrides)?;
    if !validate_only {
        broker.topics.reconfigure(&topic, overrides, settings)?;
    }
    Ok(())
}

fn apply(
    overrides: &mut BTreeMap<String, String>,
    effective: &TopicSettings,
    change: &AlterableConfig,
) -> Result<(), AlterError> {
    let name = change.name.to_string();
    let setting = TOPIC_SETTINGS.iter().find(|setting| setting.name == name);
    let setting = setting.ok_or_else(|| InvalidTopicConfig::Unknown { name: name.clone() })?;
    let is_list = setting.config_type == ConfigType::List;
    let current = || overrides.get(&name).cloned().or_else(|| (setting.text)(effective)).unwrap_or_default();
    let value = match (change.config_operation, change.value.as_deref()) {
        (DELETE, _) => {
            overrides.remove(&name);
            return Ok(());
        }
        (SET, Some(value)) => value.to_owned(),
        (APPEND, Some(value)) if is_list => with_items(&current(), value),
        (SUBTRACT, Some(value)) if is_list => without_items(&current(), value),
        (operation @ (SET | APPEND | SUBTRACT), None) => return Err(AlterError::NoValue { name, operation }),
        (operation, _) => return Err(AlterError::Operation { name, operation }),
    };
    overrides.insert(name, value);
    Ok(())
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn with_items(list: &str, added: &str) -> String {
    let new = items(added).filter(|item| !items(list).any(|present| present == *item));
    items(list).chain(new).collect::<Vec<_>>().join(",")
}

fn without_items(list: &str, removed: &str) -> String {
    items(list).filter(|item| !items(removed).any(|gone| gone == *item)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_and_shrink_by_items() {
        assert_eq!(with_items("delete", "compact, delete"), "delete,compact");
        assert_eq!(with_items("", "delete"), "delete");
        assert_eq!(without_items("compact,delete", "compact"), "delete");
        assert_eq!(without_items("delete", "compact"), "delete");
    }
}
