//! What the connections of one broker share.

use std::sync::Arc;

use ottla_protocol::StrBytes;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::Config;
use crate::fetch_sessions::FetchSessions;
use crate::groups::coordinator::GroupCoordinator;
use crate::groups::offsets_log::LoadGroupsError;
use crate::groups::offsets_topic::OffsetsTopic;
use crate::topics::Topics;

/// The state behind every handler. Each part has one owner; handlers reach it through `Arc<BrokerState>`.
pub(crate) struct BrokerState {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) cluster_id: StrBytes,
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: GroupCoordinator,
    pub(crate) fetch_sessions: Mutex<FetchSessions>,
}

impl BrokerState {
    /// Loads the groups; within a tokio runtime.
    pub(crate) fn new(config: Config, topics: Topics) -> Result<BrokerState, LoadGroupsError> {
        let slots = usize::try_from(config.settings.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        let topics = Arc::new(topics);
        let offsets = OffsetsTopic::new(Arc::clone(&topics), &config.settings);
        let clock = config.clock.clone();
        Ok(BrokerState {
            groups: GroupCoordinator::start((&config.settings).into(), clock.clone(), Box::new(offsets))?,
            clock,
            config,
            cluster_id: StrBytes::from_string(topics.cluster_id().to_owned()),
            topics,
            fetch_sessions: Mutex::new(FetchSessions::new(slots)),
        })
    }
}
