use ottla_broker::Config;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::DescribeConfigsResult;
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest, GroupId,
    IncrementalAlterConfigsRequest,
};

use crate::fixture::{create_topic, produce, start, start_with};
use crate::wire::{Wire, batch, text, topic_name};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn describe(wire: &mut Wire, kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name));
    let resource = resource.with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let request = request.with_include_synonyms(true).with_include_documentation(true);
    wire.call(4, request).await.results.remove(0)
}

/// Changes one setting of topic `t`: operation 0 sets, 1 deletes, 2 appends, 3 subtracts.
pub(crate) async fn alter(wire: &mut Wire, name: &str, operation: i8, value: Option<&str>) -> i16 {
    let config = AlterableConfig::default().with_name(text(name)).with_config_operation(operation);
    let config = config.with_value(value.map(text));
    let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text("t"));
    let resource = resource.with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    wire.call(1, request).await.responses[0].error_code
}

async fn value(wire: &mut Wire, name: &str) -> (Option<String>, i8) {
    let described = describe(wire, TOPIC, "t", Some(&[name])).await;
    assert_eq!(described.configs.len(), 1);
    (described.configs[0].value.as_ref().map(ToString::to_string), described.configs[0].config_source)
}

#[tokio::test]
async fn every_setting_is_described_with_source_synonyms_type_and_documentation() {
    let config = Config::ephemeral().with("log.retention.ms", "5000").unwrap();
    let (_broker, mut wire) = start_with(config).await;
    create_topic(&mut wire, "t", 1).await;
    let described = describe(&mut wire, TOPIC, "t", None).await;
    assert!(described.configs.len() > 20);
    assert!(described.configs.iter().all(|config| config.documentation.is_some() && config.config_type > 0));
    let retention = described.configs.iter().find(|config| &*config.name == "retention.ms").unwrap();
    assert_eq!(
        (retention.value.as_deref(), retention.config_source, retention.config_type),
        (Some("5000"), 4, 5)
    );
    assert_eq!(&*retention.synonyms[0].name, "log.retention.ms");

    let broker = describe(&mut wire, BROKER, "1", None).await;
    let partitions = broker.configs.iter().find(|config| &*config.name == "num.partitions").unwrap();
    assert_eq!(
        (partitions.value.as_deref(), partitions.config_source, partitions.read_only),
        (Some("1"), 5, true)
    );
}

#[tokio::test]
async fn unknown_resources() {
    let (_broker, mut wire) = start().await;
    for (kind, name, error) in [
        (TOPIC, "nowhere", ErrorCode::UnknownTopicOrPartition),
        (TOPIC, "a b", ErrorCode::InvalidTopicException),
        (BROKER, "9", ErrorCode::InvalidRequest),
        (99, "x", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(describe(&mut wire, kind, name, None).await.error_code, error.code(), "{kind} {name}");
    }
    assert_eq!(describe(&mut wire, BROKER, "", None).await.error_code, 0);
}

#[tokio::test]
async fn a_topic_is_created_with_settings_of_its_own() {
    let (_broker, mut wire) = start().await;
    let with = |name: &str, value: Option<&str>| {
        let config = CreatableTopicConfig::default().with_name(text(name)).with_value(value.map(text));
        let topic = CreatableTopic::default().with_name(topic_name("t")).with_num_partitions(1);
        let topic = topic.with_replication_factor(1).with_configs(vec![config]);
        CreateTopicsRequest::default().with_topics(vec![topic])
    };
    for (name, value) in [("retention.ms", Some("long")), ("retention", Some("1")), ("retention.ms", None)] {
        let response = wire.call(7, with(name, value)).await;
        assert_eq!(response.topics[0].error_code, ErrorCode::InvalidConfig.code(), "{name}={value:?}");
    }
    assert_eq!(wire.call(7, with("max.message.bytes", Some("100"))).await.topics[0].error_code, 0);
    assert_eq!(value(&mut wire, "max.message.bytes").await, (Some("100".to_owned()), 1));
    let refused = produce(&mut wire, "t", batch(&[&"x".repeat(100)])).await;
    assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.code());
}

#[tokio::test]
async fn settings_are_changed_while_the_topic_is_in_use() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    assert_eq!(alter(&mut wire, "max.message.bytes", 0, Some("100")).await, 0);
    let refused = produce(&mut wire, "t", batch(&[&"x".repeat(100)])).await;
    assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.code());
    assert_eq!(alter(&mut wire, "max.message.bytes", 1, None).await, 0);
    assert_eq!(value(&mut wire, "max.message.bytes").await, (Some("1048588".to_owned()), 5));
    assert_eq!(produce(&mut wire, "t", batch(&[&"x".repeat(100)])).await.error_code, 0);

    assert_eq!(alter(&mut wire, "cleanup.policy", 2, Some("compact")).await, 0);
    assert_eq!(value(&mut wire, "cleanup.policy").await, (Some("delete,compact".to_owned()), 1));
    assert_eq!(alter(&mut wire, "cleanup.policy", 3, Some("delete")).await, 0);
    assert_eq!(value(&mut wire, "cleanup.policy").await, (Some("compact".to_owned()), 1));
}

#[tokio::test]
async fn a_wrong_change_changes_nothing() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for (name, operation, value, error) in [
        ("max.message.bytes", 0, Some("many"), ErrorCode::InvalidConfig),
        ("max.message.bytes", 0, None, ErrorCode::InvalidRequest),
        ("max.message.bytes", 2, Some("1"), ErrorCode::InvalidConfig),
        ("cleanup.policy", 3, Some("delete"), ErrorCode::InvalidConfig),
        ("nothing", 0, Some("1"), ErrorCode::InvalidConfig),
        ("max.message.bytes", 9, Some("1"), ErrorCode::InvalidConfig),
    ] {
        let code = alter(&mut wire, name, operation, value).await;
        assert_eq!(code, error.code(), "{name} {operation} {value:?}");
    }
    assert_eq!(value(&mut wire, "max.message.bytes").await.1, 5);
    assert_eq!(value(&mut wire, "cleanup.policy").await.1, 5);
}

#[tokio::test]
async fn what_is_named_a_hundred_thousand_times_is_described_once() {
    let (_broker, mut wire) = start().await;
    let resource =
        DescribeConfigsResource::default().with_resource_type(BROKER).with_resource_name(text("1"));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource; 100_000]);
    let results = wire.call(4, request).await.results;
    assert_eq!((results.len(), results[0].error_code), (1, 0));

    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("g")); 100_000]);
    assert_eq!(wire.call(5, request).await.groups.len(), 1);
}
