//! What the connections of one broker share.

use ottla_protocol::StrBytes;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::Config;
use crate::fetch_sessions::FetchSessions;
use crate::topics::Topics;

/// The state behind every handler. Each part has one owner; handlers reach it through `Arc<BrokerState>`.
pub(crate) struct BrokerState {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) cluster_id: StrBytes,
    pub(crate) topics: Topics,
    pub(crate) fetch_sessions: Mutex<FetchSessions>,
}

impl BrokerState {
    pub(crate) fn new(config: Config, cluster_id: StrBytes, topics: Topics) -> BrokerState {
        let slots = usize::try_from(config.settings.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        BrokerState {
            clock: config.clock.clone(),
            config,
            cluster_id,
            topics,
            fetch_sessions: Mutex::new(FetchSessions::new(slots)),
        }
    }
}
