//! What the connections of one broker share.

use crate::clock::Clock;
use crate::config::Config;

/// The state behind every handler. Each part has one owner; handlers reach it through `Arc<BrokerState>`.
pub(crate) struct BrokerState {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
}

impl BrokerState {
    pub(crate) fn new(config: Config) -> BrokerState {
        let clock = config.clock.clone();
        BrokerState { config, clock }
    }
}
