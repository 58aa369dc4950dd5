//! DescribeConfigs and IncrementalAlterConfigs.

use std::collections::BTreeSet;

use ottla_broker::config::TOPIC_SETTINGS;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use crate::both::Both;
use crate::text;
use crate::topics::TOPIC;

const TOPIC_RESOURCE: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Where Ottla differs: its segments are preallocated, it leaves out synonyms for what has no effect on one node, and it
/// names `log.retention.hours` and `log.roll.hours`, which Kafka loses. Kafka 4.3 makes `min.insync.replicas` dynamic.
const OUR_OWN: [&str; 9] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "local.retention.bytes",
    "local.retention.ms",
    "min.insync.replicas",
    "preallocate",
    "retention.ms",
    "segment.ms",
];

pub(crate) async fn ask(both: &mut Both) {
    for (what, kind, name) in [
        ("a topic", TOPIC_RESOURCE, TOPIC),
        ("an unknown topic", TOPIC_RESOURCE, "unknown"),
        ("a topic that cannot be", TOPIC_RESOURCE, "a b"),
        ("a topic without a name", TOPIC_RESOURCE, ""),
        ("an unknown broker", 4, "99"),
        ("a broker that is no number", 4, "one"),
        ("a resource that does not exist", 77, TOPIC),
    ] {
        describe(both, what, kind, name).await;
    }
    for setting in TOPIC_SETTINGS.iter().filter(|setting| !OUR_OWN.contains(&setting.name)) {
        describe_setting(both, "of a new topic", setting.name).await;
    }
    for (what, name, operation, value) in [
        ("a setting", "retention.bytes", SET, Some("1000")),
        ("an unknown setting", "no.such.setting", SET, Some("1")),
        ("a value that is no number", "retention.bytes", SET, Some("soon")),
        ("a value out of range", "segment.bytes", SET, Some("1")),
        ("no value", "retention.bytes", SET, None),
        ("appended to a list", "cleanup.policy", APPEND, Some("compact")),
        ("taken from a list", "cleanup.policy", SUBTRACT, Some("delete")),
        ("appended to a number", "retention.bytes", APPEND, Some("1")),
        ("deleted", "retention.bytes", DELETE, None),
        ("deleted again", "retention.bytes", DELETE, None),
        ("back to how it was", "cleanup.policy", DELETE, None),
    ] {
        alter(both, what, name, operation, value).await;
        describe_setting(both, what, name).await;
    }
}

/// Which settings there are.
async fn describe(both: &mut Both, what: &str, kind: i8, name: &str) {
    let resource = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(None)]);
    both.ask(&format!("DescribeConfigs: {what}"), 4, request, |response| {
        let results = response.results.into_iter().map(|result| {
            let names: BTreeSet<String> =
                result.configs.iter().map(|config| config.name.to_string()).collect();
            (result.error_code, names)
        });
        results.collect::<Vec<_>>()
    })
    .await;
}

/// One setting of the topic: value, source, type and synonyms.
async fn describe_setting(both: &mut Both, what: &str, name: &str) {
    let resource = DescribeConfigsResource::default().with_resource_type(TOPIC_RESOURCE);
    let resource = resource.with_resource_name(text(TOPIC)).with_configuration_keys(Some(vec![text(name)]));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    both.ask_after_change(&format!("DescribeConfigs: {name} {what}"), 4, request, |response| {
        let configs = response.results.into_iter().flat_map(|result| result.configs).map(|config| {
            let synonyms = config.synonyms.into_iter().map(|synonym| {
                (synonym.name.to_string(), synonym.value.map(|value| value.to_string()), synonym.source)
            });
            let value = config.value.map(|value| value.to_string());
            (value, config.config_source, config.config_type, synonyms.collect::<Vec<_>>())
        });
        configs.collect::<Vec<_>>()
    })
    .await;
}

async fn alter(both: &mut Both, what: &str, name: &str, operation: i8, value: Option<&str>) {
    let config = AlterableConfig::default().with_name(text(name)).with_config_operation(operation);
    let config = config.with_value(value.map(text));
    let resource =
        AlterConfigsResource::default().with_resource_type(TOPIC_RESOURCE).with_resource_name(text(TOPIC));
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]);
    both.ask(&format!("IncrementalAlterConfigs: {what}"), 1, request, |response| {
        response.responses.into_iter().map(|resource| resource.error_code).collect::<Vec<_>>()
    })
    .await;
}
