//! How a broker is configured: Kafka's property names, from a file and overrides, or by builder in a test.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::clock::Clock;
use crate::listener::ListenAddress;

mod broker_settings;
pub(crate) mod entries;
mod ignored;
mod table;
mod topic_settings;
pub mod value;

pub use ottla_storage::properties_file;

pub use broker_settings::{BROKER_SETTINGS, BrokerSettings};
pub use table::{InvalidValue, Setting};
pub use topic_settings::{TOPIC_SETTINGS, TopicSettings, broker_synonyms};

/// Everything that [`Broker::start`](crate::Broker::start) needs to know.
#[derive(Clone)]
pub struct Config {
    pub settings: BrokerSettings,
    /// The properties that were set, rather than left at their defaults.
    pub(crate) explicit: BTreeSet<&'static str>,
    pub(crate) data: DataPlace,
    pub(crate) clock: Clock,
}

/// Where a broker keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataPlace {
    /// In `log.dirs`.
    LogDirs,
    /// In a directory of its own, which goes with the broker.
    Ephemeral,
}

/// A property that was accepted without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigWarning {
    Unknown { name: String, nearest: Option<&'static str> },
    WithoutEffect { name: String },
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigWarning::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown property {name}: did you mean {nearest}?")
            }
            ConfigWarning::Unknown { name, nearest: None } => write!(f, "unknown property {name}"),
            ConfigWarning::WithoutEffect { name } => {
                write!(f, "Kafka's property {name} has no effect on Ottla")
            }
        }
    }
}

impl Default for Config {
    /// Listens on `localhost:9092` and keeps its data in `./ottla-data`.
    fn default() -> Config {
        Config {
            settings: BrokerSettings::default(),
            explicit: BTreeSet::new(),
            data: DataPlace::LogDirs,
            clock: Clock::system(),
        }
    }
}

impl Config {
    /// For a test: a free port on `localhost` and a temporary directory, which goes with the broker.
    pub fn ephemeral() -> Config {
        let listen = ListenAddress { host: "localhost".to_owned(), port: 0 };
        let mut config =
            Config { data: DataPlace::Ephemeral, ..Config::default() }.with_listeners(vec![listen]);
        // Kafka's 50 would be 100 files for each test that has a group, and no other broker will ever share them.
        config.settings.offsets_topic_num_partitions = 1;
        config
    }

    /// Listens on these addresses.
    pub fn with_listeners(mut self, listeners: Vec<ListenAddress>) -> Config {
        self.settings.listeners = listeners;
        self.explicit.insert("listeners");
        self
    }

    /// Tells clients to connect to these addresses, one for each listener.
    pub fn with_advertised_listeners(mut self, advertised: Vec<ListenAddress>) -> Config {
        self.settings.advertised_listeners = advertised;
        self.explicit.insert("advertised.listeners");
        self
    }

    /// Keeps its data in `dir`, which is made where it does not exist.
    pub fn with_data_dir(mut self, dir: impl Into<PathBuf>) -> Config {
        self.settings.log_dirs = dir.into().to_string_lossy().into_owned();
        self.explicit.insert("log.dirs");
        self.data = DataPlace::LogDirs;
        self
    }

    /// Keeps its data in a temporary directory, which goes with the broker.
    pub fn with_temporary_data_dir(mut self) -> Config {
        self.data = DataPlace::Ephemeral;
        self
    }

    /// Takes its time from `clock`.
    pub fn with_clock(mut self, clock: Clock) -> Config {
        self.clock = clock;
        self
    }

    /// Sets one property by Kafka's name, for a test that knows what it sets; see [`Config::set`].
    pub fn with(mut self, name: &str, value: &str) -> Result<Config, InvalidValue> {
        self.set(name, value)?;
        Ok(self)
    }

    /// Sets one property by Kafka's name. A name that changes nothing is a warning, a wrong value is an error.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<ConfigWarning>, InvalidValue> {
        let name = match name {
            // Kafka's older names for the same.
            "log.dir" => "log.dirs",
            "broker.id" => "node.id",
            name => name,
        };
        if let Some(setting) = BROKER_SETTINGS.iter().find(|setting| setting.name == name) {
            setting.set(&mut self.settings, value)?;
            self.explicit.insert(setting.name);
            return Ok(None);
        }
        if ignored::is_ignored(name) {
            return Ok(Some(ConfigWarning::WithoutEffect { name: name.to_owned() }));
        }
        let known = BROKER_SETTINGS.iter().map(|setting| setting.name);
        Ok(Some(ConfigWarning::Unknown { name: name.to_owned(), nearest: nearest(name, known) }))
    }

    /// Whether a property was set, rather than left at its default.
    pub fn is_explicit(&self, name: &str) -> bool {
        self.explicit.contains(name)
    }
}

/// The known name that a misspelt one was meant to be, if one is near enough.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let (distance, nearest) = known.map(|known| (edit_distance(name, known), known)).min()?;
    (distance <= 3 && distance < name.len()).then_some(nearest)
}

/// Levenshtein's distance in bytes; names are ASCII.
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_set_by_kafkas_name() {
        let mut config = Config::default();
        assert_eq!(config.set("num.partitions", "4"), Ok(None));
        assert_eq!(config.settings.num_partitions, 4);
        assert!(config.is_explicit("num.partitions") && !config.is_explicit("log.dirs"));
    }

    #[test]
    fn an_unknown_property_is_named_with_its_nearest() {
        let mut config = Config::default();
        let warning = config.set("num.partition", "4").unwrap().unwrap();
        assert_eq!(warning.to_string(), "unknown property num.partition: did you mean num.partitions?");
        let warning = config.set("frobnicate", "4").unwrap().unwrap();
        assert_eq!(warning, ConfigWarning::Unknown { name: "frobnicate".to_owned(), nearest: None });
        let warning = config.set("num.network.threads", "3").unwrap().unwrap();
        assert_eq!(warning, ConfigWarning::WithoutEffect { name: "num.network.threads".to_owned() });
    }

    #[test]
    fn a_wrong_value_names_key_value_and_what_was_expected() {
        let error = Config::default().set("num.partitions", "0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid value 0 for configuration num.partitions: expected a 32-bit integer, at least 1"
        );
        assert!(Config::default().set("auto.create.topics.enable", "yes").is_err());
    }

    #[test]
    fn every_default_is_a_value_that_its_setting_accepts() {
        let mut settings = BrokerSettings::default();
        for setting in BROKER_SETTINGS {
            if let Some(text) = (setting.text)(&BrokerSettings::default()) {
                assert_eq!(setting.set(&mut settings, &text), Ok(()), "{}", setting.name);
            }
        }
        assert_eq!(settings, BrokerSettings::default());
    }

    #[test]
    fn the_defaults_of_a_topic_are_those_of_the_broker() {
        assert_eq!(TopicSettings::from_broker(&BrokerSettings::default()), TopicSettings::default());
        for setting in TOPIC_SETTINGS {
            for synonym in broker_synonyms(setting.name) {
                assert!(BROKER_SETTINGS.iter().any(|known| known.name == *synonym), "{synonym}");
            }
        }
    }
}
