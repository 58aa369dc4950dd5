//! Settings that a Kafka was given at run time, which stand in the directory's metadata.

use ottla_storage::Metadata;

use crate::config::{BROKER_SETTINGS, BrokerSettings};

/// What a Kafka was told at run time, for all brokers and then for this one, comes before what stands in a file: without
/// it, records would be deleted that were to be kept.
pub(super) fn with_cluster_settings(settings: &BrokerSettings, metadata: &Metadata) -> BrokerSettings {
    let mut known = settings.clone();
    for broker in ["", &settings.node_id.to_string()] {
        for (name, value) in metadata.broker_configs(broker).into_iter().flatten() {
            let setting = BROKER_SETTINGS.iter().find(|setting| setting.name == name);
            if let Some(Err(error)) = setting.map(|setting| setting.set(&mut known, value)) {
                tracing::warn!("a setting that Kafka was given: {error}; it has no effect on Ottla");
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use ottla_protocol::records::metadata::{ConfigRecord, ConfigResource, MetadataRecord};
    use ottla_storage::{DataDir, Durability};

    use super::*;

    fn setting(broker: &str, name: &str, value: &str) -> MetadataRecord {
        MetadataRecord::Config(ConfigRecord {
            resource: ConfigResource::Broker,
            resource_name: broker.to_owned(),
            name: name.to_owned(),
            value: Some(value.to_owned()),
        })
    }

    #[test]
    fn those_for_this_broker_come_before_those_for_all_and_these_before_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path(), 1, Durability::Process).unwrap();
        let settings = [
            setting("", "log.retention.ms", "-1"),
            setting("", "log.segment.bytes", "1048576"),
            setting("1", "log.segment.bytes", "2097152"),
            setting("2", "log.segment.bytes", "4194304"),
            setting("", "log.cleaner.threads", "many"),
        ];
        let metadata = data_dir.commit(&settings, 0).unwrap();
        let found = with_cluster_settings(&BrokerSettings::default(), &metadata);
        assert_eq!((found.log_retention_ms, found.log_segment_bytes), (Some(-1), 2_097_152));
    }
}
