//! Settings as the admin APIs list them: each with its value, where it comes from, and what it would be otherwise.

use std::collections::BTreeMap;

use crate::config::value::ConfigType;
use crate::config::{
    BROKER_SETTINGS, BrokerSettings, Config, Setting, TOPIC_SETTINGS, TopicSettings, broker_synonyms,
};

/// Where a value comes from (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    Topic = 1,
    StaticBroker = 4,
    Default = 5,
}

/// One setting of a topic or the broker.
#[derive(Debug)]
pub(crate) struct ConfigEntry {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) source: ConfigSource,
    pub(crate) config_type: ConfigType,
    pub(crate) doc: &'static str,
    /// Every place that sets it, the strongest first.
    pub(crate) synonyms: Vec<Synonym>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) source: ConfigSource,
}

/// Every setting of the broker.
pub(crate) fn of_broker(config: &Config) -> Vec<ConfigEntry> {
    let entries = BROKER_SETTINGS.iter().map(|setting| {
        let value = (setting.text)(&config.settings);
        entry(setting, value, broker_places(config, setting.name))
    });
    entries.collect()
}

/// Every setting of a topic with these overrides.
pub(crate) fn of_topic(
    config: &Config,
    settings: &TopicSettings,
    overrides: &BTreeMap<String, String>,
) -> Vec<ConfigEntry> {
    let entries = TOPIC_SETTINGS.iter().map(|setting| {
        let written = overrides.get(setting.name).filter(|_| setting.config_type == ConfigType::List);
        // A list keeps the order in which it was written.
        let value = written.cloned().or_else(|| (setting.text)(settings));
        let own = overrides.contains_key(setting.name);
        let own =
            own.then(|| Synonym { name: setting.name, value: value.clone(), source: ConfigSource::Topic });
        let inherited = broker_synonyms(setting.name).iter().flat_map(|name| broker_places(config, name));
        entry(setting, value, own.into_iter().chain(inherited).collect())
    });
    entries.collect()
}

fn entry<S>(setting: &Setting<S>, value: Option<String>, synonyms: Vec<Synonym>) -> ConfigEntry {
    let source = synonyms.first().map_or(ConfigSource::Default, |strongest| strongest.source);
    ConfigEntry {
        name: setting.name,
        value,
        source,
        config_type: setting.config_type,
        doc: setting.doc,
        synonyms,
    }
}

/// The places in which a broker property is set: the user's configuration, and the default if there is one.
fn broker_places(config: &Config, name: &str) -> Vec<Synonym> {
    let Some(setting) = BROKER_SETTINGS.iter().find(|setting| setting.name == name) else {
        return Vec::new();
    };
    let place = |settings: &BrokerSettings, source| Synonym {
        name: setting.name,
        value: (setting.text)(settings),
        source,
    };
    let explicit = config.is_explicit(name).then(|| place(&config.settings, ConfigSource::StaticBroker));
    let default = Some(place(&BrokerSettings::default(), ConfigSource::Default));
    explicit.into_iter().chain(default.filter(|default| default.value.is_some())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(entry: &ConfigEntry) -> Vec<(&str, Option<&str>, ConfigSource)> {
        entry
            .synonyms
            .iter()
            .map(|synonym| (synonym.name, synonym.value.as_deref(), synonym.source))
            .collect()
    }

    #[test]
    fn a_topic_setting_names_every_place_that_sets_it() {
        let config = Config::default().with("log.retention.ms", "5000").unwrap();
        let mut settings = TopicSettings::from_broker(&config.settings);
        settings.retention_ms = 7;
        let overrides = BTreeMap::from([("retention.ms".to_owned(), "7".to_owned())]);
        let entries = of_topic(&config, &settings, &overrides);
        let entry = entries.iter().find(|entry| entry.name == "retention.ms").unwrap();
        assert_eq!((entry.value.as_deref(), entry.source), (Some("7"), ConfigSource::Topic));
        let expected = [
            ("retention.ms", Some("7"), ConfigSource::Topic),
            ("log.retention.ms", Some("5000"), ConfigSource::StaticBroker),
            ("log.retention.hours", Some("168"), ConfigSource::Default),
        ];
        assert_eq!(sources(entry), expected);
    }

    #[test]
    fn a_broker_setting_is_explicit_or_default() {
        let config = Config::default().with("num.partitions", "4").unwrap();
        let entries = of_broker(&config);
        let entry = entries.iter().find(|entry| entry.name == "num.partitions").unwrap();
        assert_eq!((entry.value.as_deref(), entry.source), (Some("4"), ConfigSource::StaticBroker));
        let entry = entries.iter().find(|entry| entry.name == "message.max.bytes").unwrap();
        assert_eq!((entry.value.as_deref(), entry.source), (Some("1048588"), ConfigSource::Default));
        assert_eq!(entries.len(), BROKER_SETTINGS.len());
    }
}
