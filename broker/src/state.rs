//! What the connections of one broker share.

use std::sync::Arc;

use ottla_protocol::StrBytes;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::{BrokerSettings, Config};
use crate::fetch_sessions::{FetchSessions, MAX_PARTITIONS_BYTES};
use crate::fetch_wait::{MAX_PARKED_PARTITIONS, ParkingRoom};
use crate::groups::coordinator::GroupCoordinator;
use crate::groups::offsets_topic::OffsetsTopic;
use crate::internal_topic::LoadError;
use crate::limits::{MAX_UNSENT_BYTES, RequestMemory, UnsentResponses};
use crate::topics::Topics;
use crate::transactions::coordinator::{NewProducerId, Surroundings, TransactionCoordinator};
use crate::transactions::markers::PartitionMarkers;
use crate::transactions::state_topic::StateTopic;

/// The state behind every handler. Each part has one owner; handlers reach it through `Arc<BrokerState>`.
pub(crate) struct BrokerState {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) cluster_id: StrBytes,
    pub(crate) topics: Arc<Topics>,
    pub(crate) offsets: OffsetsTopic,
    pub(crate) groups: Arc<GroupCoordinator>,
    pub(crate) transactions: TransactionCoordinator,
    pub(crate) fetch_sessions: Mutex<FetchSessions>,
    pub(crate) parking_room: ParkingRoom,
    pub(crate) request_memory: Arc<RequestMemory>,
    pub(crate) unsent_responses: Arc<UnsentResponses>,
}

impl BrokerState {
    /// Loads the groups, then the transactions, which may still have to be ended in the groups' offsets; within a tokio
    /// runtime.
    pub(crate) fn new(config: Config, topics: Topics) -> Result<BrokerState, LoadError> {
        let settings = &config.settings;
        let slots = usize::try_from(settings.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        let topics = Arc::new(topics);
        let clock = config.clock.clone();
        let offsets = OffsetsTopic::new(Arc::clone(&topics), settings);
        let groups = GroupCoordinator::start(settings.into(), clock.clone(), Box::new(offsets.clone()))?;
        let groups = Arc::new(groups);
        let markers = PartitionMarkers { topics: Arc::clone(&topics), groups: Arc::clone(&groups) };
        let around = Surroundings {
            clock: clock.clone(),
            log: Box::new(StateTopic::new(Arc::clone(&topics), settings)),
            markers: Box::new(markers),
            new_producer_id: new_producer_ids(Arc::clone(&topics)),
        };
        let BrokerSettings { queued_max_request_bytes, socket_request_max_bytes, .. } = config.settings;
        Ok(BrokerState {
            transactions: TransactionCoordinator::start(settings.into(), around)?,
            offsets,
            groups,
            clock,
            cluster_id: StrBytes::from_string(topics.cluster_id().to_owned()),
            topics,
            config,
            fetch_sessions: Mutex::new(FetchSessions::new(slots, MAX_PARTITIONS_BYTES)),
            parking_room: ParkingRoom::new(MAX_PARKED_PARTITIONS),
            request_memory: Arc::new(RequestMemory::new(queued_max_request_bytes, socket_request_max_bytes)),
            unsent_responses: Arc::new(UnsentResponses::new(MAX_UNSENT_BYTES)),
        })
    }
}

fn new_producer_ids(topics: Arc<Topics>) -> NewProducerId {
    Box::new(move || {
        topics.new_producer_id().map_err(|error| {
            tracing::error!("no producer id can be given: {error}");
            error.code()
        })
    })
}
