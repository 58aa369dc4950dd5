//! DescribeConfigs v1–4.
//!
//! Every setting of topics and of this broker, with its value, source and synonyms (KIP-226); v3: with type and
//! documentation (KIP-569). Broker settings are read-only here: they are read when the broker starts. What is named
//! several times is answered once, which Kafka does not do: an answer is hundreds of times as long as the name that
//! asks for it.
//!
//! Not done: dynamic broker defaults (an empty broker name lists none), loggers, client metrics, groups.

use std::sync::Arc;

use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::config::entries::{self, ConfigEntry};
use crate::context::RequestContext;
use crate::handlers::repeated::keep_firsts;
use crate::handlers::{Handler, config_resource};
use crate::state::BrokerState;
use crate::topic_name::validate;

impl Handler for DescribeConfigsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 4 };

    async fn handle(mut self, broker: Arc<BrokerState>, _: RequestContext) -> DescribeConfigsResponse {
        let (synonyms, docs) = (self.include_synonyms, self.include_documentation);
        keep_firsts(&mut self.resources, |resource| (resource.resource_type, resource.resource_name.clone()));
        let results = self.resources.into_iter().map(|resource| describe(&broker, resource, synonyms, docs));
        DescribeConfigsResponse::default().with_results(results.collect())
    }
}

fn describe(
    broker: &BrokerState,
    resource: DescribeConfigsResource,
    synonyms: bool,
    docs: bool,
) -> DescribeConfigsResult {
    let read_only = resource.resource_type == config_resource::BROKER;
    let result = match entries_of(broker, &resource) {
        Ok(entries) => {
            let asked = entries.into_iter().filter(|entry| is_asked_for(&resource, entry.name));
            let configs = asked.map(|entry| to_response(entry, read_only, synonyms, docs));
            DescribeConfigsResult::default().with_configs(configs.collect())
        }
        Err((error, message)) => DescribeConfigsResult::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message))),
    };
    result.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name)
}

fn entries_of(
    broker: &BrokerState,
    resource: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let name = &*resource.resource_name;
    let node_id = broker.config.settings.node_id;
    match resource.resource_type {
        config_resource::TOPIC => {
            validate(name).map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            let unknown = || (ErrorCode::UnknownTopicOrPartition, format!("Topic '{name}' does not exist."));
            let topic = broker.topics.by_name(name).ok_or_else(unknown)?;
            Ok(entries::of_topic(&broker.config, &topic.settings, &topic.overrides))
        }
        config_resource::BROKER if name.is_empty() => Ok(Vec::new()),
        config_resource::BROKER if name == node_id.to_string() => Ok(entries::of_broker(&broker.config)),
        config_resource::BROKER => {
            let message =
                format!("Unexpected broker id, expected {node_id} or empty string, but received {name}");
            Err((ErrorCode::InvalidRequest, message))
        }
        other => Err((ErrorCode::InvalidRequest, format!("Resource type {other} has no configuration here"))),
    }
}

/// No list of keys asks for all, and so does an empty one.
fn is_asked_for(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| &**key == name)
}

fn to_response(
    entry: ConfigEntry,
    read_only: bool,
    synonyms: bool,
    docs: bool,
) -> DescribeConfigsResourceResult {
    let listed = entry.synonyms.into_iter().filter(|_| synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(synonym.name))
            .with_value(synonym.value.map(StrBytes::from_string))
            .with_source(synonym.source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(read_only)
        .with_config_source(entry.source as i8)
        .with_synonyms(listed.collect())
        .with_config_type(entry.config_type.wire_code())
        .with_documentation(docs.then(|| StrBytes::from_static_str(entry.doc)))
}
