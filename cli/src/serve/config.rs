//! From flags and `server.properties` to the broker's configuration: the file first, then overrides, then flags; `--durability`
//! is short for settings, which an override may refine.

use std::path::Path;

use ottla_broker::Config;
use ottla_broker::config::properties_file;
use ottla_broker::listener::ListenAddress;

use super::{DurabilityPolicy, Serve};
use crate::exit::Failure;

impl Serve {
    /// Warns of properties that change nothing; a value that cannot be used is an error before anything starts.
    pub(super) fn broker_config(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        if let Some(path) = &self.config {
            load_file(&mut config, path)?;
        }
        if let Some(policy) = self.durability {
            for (name, value) in policy.settings() {
                set(&mut config, name, value, &|| "--durability".to_owned())?;
            }
        }
        for setting in &self.overrides {
            let (name, value) = setting.split_once('=').ok_or_else(|| not_a_pair(setting))?;
            set(&mut config, name.trim(), value, &|| format!("--override {setting}"))?;
        }
        if !self.listen.is_empty() {
            config = config.with_listeners(addresses(&self.listen)?);
        }
        if !self.advertise.is_empty() {
            config = config.with_advertised_listeners(addresses(&self.advertise)?);
        }
        if let Some(dir) = &self.data_dir {
            config = config.with_data_dir(dir);
        }
        Ok(if self.ephemeral { config.with_temporary_data_dir() } else { config })
    }
}

impl DurabilityPolicy {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            DurabilityPolicy::Process => &[],
            DurabilityPolicy::Interval => &[("log.flush.interval.ms", "1000")],
            DurabilityPolicy::Power => &[("log.flush.interval.messages", "1")],
        }
    }
}

fn load_file(config: &mut Config, path: &Path) -> Result<(), Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::File { path: path.to_owned(), error })?;
    for property in properties_file::parse(&text) {
        let place = || format!("{}, line {}", path.display(), property.line);
        set(config, &property.name, &property.value, &place)?;
    }
    Ok(())
}

fn set(config: &mut Config, name: &str, value: &str, place: &dyn Fn() -> String) -> Result<(), Failure> {
    match config.set(name, value) {
        Ok(None) => Ok(()),
        Ok(Some(warning)) => {
            tracing::warn!("{}: {warning}", place());
            Ok(())
        }
        Err(error) => Err(Failure::Setting { place: place(), error }),
    }
}

fn addresses(texts: &[String]) -> Result<Vec<ListenAddress>, Failure> {
    texts.iter().map(|text| Ok(text.parse::<ListenAddress>()?)).collect()
}

fn not_a_pair(setting: &str) -> Failure {
    Failure::Usage(format!("--override {setting}: write a property and its value, such as num.partitions=3"))
}
