//! Incremental fetch sessions (KIP-227): a client names its partitions once, then only what changes, and is answered
//! only for partitions that have news.
//!
//! A pure state machine: requests and a time in, targets and decisions out.

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::messages::TopicName;
use ottla_protocol::{ErrorCode, StrBytes};
use uuid::Uuid;

/// The id that stands for "no session".
pub(crate) const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that closes its session, or wants none.
pub(crate) const FINAL_EPOCH: i32 = -1;
/// A session that has not been used for this long makes room for a new one.
const EVICTION_MS: i64 = 120_000;

/// What the partitions of all sessions may take together.
pub(crate) const MAX_PARTITIONS_BYTES: usize = 32 << 20;
/// What a session remembers of a partition, besides the topic's name.
const PARTITION_BYTES: usize = 256;

/// How a request names a topic: by id from Fetch v13 on (KIP-516), before by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(TopicName),
    Id(Uuid),
}

/// A partition in a fetch request or session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) index: i32,
}

/// What a client wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchTarget {
    pub(crate) key: PartitionKey,
    pub(crate) fetch_offset: i64,
    pub(crate) max_bytes: i32,
    /// −1 where the client does not know it.
    pub(crate) current_leader_epoch: i32,
}

/// The session part of a fetch request.
pub(crate) struct SessionRequest {
    pub(crate) session_id: i32,
    pub(crate) epoch: i32,
    /// True from Fetch v13 on.
    pub(crate) uses_topic_ids: bool,
    pub(crate) targets: Vec<FetchTarget>,
    pub(crate) forgotten: Vec<PartitionKey>,
}

/// A fetch that the sessions have admitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) kind: FetchKind,
    /// Every partition to be read, in the order of reading.
    pub(crate) targets: Vec<FetchTarget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchKind {
    /// Every partition is answered, and nothing is remembered.
    Sessionless,
    /// Every partition is answered, and remembered if there is room.
    Full { uses_topic_ids: bool },
    /// Only news is answered.
    Incremental { session_id: i32, next_epoch: i32 },
}

/// What was found in a partition, as far as it decides whether the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionNews {
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) record_bytes: usize,
}

impl PartitionKey {
    /// What a session takes to remember the partition.
    fn kept_bytes(&self) -> usize {
        match &self.topic {
            TopicKey::Name(name) => PARTITION_BYTES + name.len(),
            TopicKey::Id(_) => PARTITION_BYTES,
        }
    }
}

/// Every open session of the broker.
pub(crate) struct FetchSessions {
    slots: usize,
    max_partitions_bytes: usize,
    /// Of all sessions.
    partitions_bytes: usize,
    last_id: i32,
    sessions: HashMap<i32, Session>,
}

struct Session {
    partitions_bytes: usize,
    epoch: i32,
    uses_topic_ids: bool,
    created_ms: i64,
    last_used_ms: i64,
    /// In the order of reading: a partition that has given records goes to the end, so that none starves.
    partitions: BTreeMap<u64, SessionPartition>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

struct SessionPartition {
    target: FetchTarget,
    /// What the client was told last; −1 makes the next answer news.
    high_watermark: i64,
    log_start_offset: i64,
}

impl FetchSessions {
    /// `slots` is `max.incremental.fetch.session.cache.slots`.
    pub(crate) fn new(slots: usize, max_partitions_bytes: usize) -> FetchSessions {
        FetchSessions {
            slots,
            max_partitions_bytes,
            partitions_bytes: 0,
            last_id: NO_SESSION,
            sessions: HashMap::new(),
        }
    }

    /// Begins a fetch: opens, goes on with or closes the session that it names.
    pub(crate) fn admit(&mut self, request: SessionRequest, now_ms: i64) -> Result<Admitted, ErrorCode> {
        let SessionRequest { session_id, epoch, uses_topic_ids, targets, forgotten } = request;
        if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            self.remove(session_id);
            let full = FetchKind::Full { uses_topic_ids };
            let kind = if epoch == FINAL_EPOCH { FetchKind::Sessionless } else { full };
            return Ok(Admitted { kind, targets });
        }
        let session = self.sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before_bytes = session.partitions_bytes;
        session.update(targets, &forgotten);
        self.partitions_bytes = self.partitions_bytes - before_bytes + session.partitions_bytes;
        if self.partitions_bytes > self.max_partitions_bytes && session.partitions_bytes > before_bytes {
            // The client asks for everything again, and gets it without a session.
            self.remove(session_id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        if session.partitions.is_empty() {
            self.remove(session_id);
            return Ok(Admitted { kind: FetchKind::Sessionless, targets: Vec::new() });
        }
        session.last_used_ms = now_ms;
        session.epoch = next_epoch(epoch);
        let kind = FetchKind::Incremental { session_id, next_epoch: session.epoch };
        let targets = session.partitions.values().map(|partition| partition.target.clone()).collect();
        Ok(Admitted { kind, targets })
    }

    /// Ends a fetch: keeps of `found` what the client is to be told, and answers the session id.
    pub(crate) fn conclude<T>(
        &mut self,
        kind: FetchKind,
        targets: &[FetchTarget],
        found: &mut Vec<T>,
        news_of: impl Fn(&T) -> (PartitionKey, PartitionNews),
        now_ms: i64,
    ) -> Result<i32, ErrorCode> {
        match kind {
            FetchKind::Sessionless => Ok(NO_SESSION),
            FetchKind::Full { uses_topic_ids } => {
                let news: HashMap<_, _> = found.iter().map(news_of).collect();
                Ok(self.open(uses_topic_ids, targets, &news, now_ms))
            }
            FetchKind::Incremental { session_id, next_epoch } => {
                let session = self.sessions.get_mut(&session_id);
                let session = session.filter(|session| session.epoch == next_epoch);
                // While this fetch waited, another one of the same session went on: one of them is a duplicate.
                let session = session.ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
                found.retain(|partition| {
                    let (key, news) = news_of(partition);
                    session.tell(&key, news)
                });
                Ok(session_id)
            }
        }
    }

    fn open(
        &mut self,
        uses_topic_ids: bool,
        targets: &[FetchTarget],
        news: &HashMap<PartitionKey, PartitionNews>,
        now_ms: i64,
    ) -> i32 {
        let bytes: usize = targets.iter().map(|target| target.key.kept_bytes()).sum();
        if targets.is_empty()
            || self.partitions_bytes.saturating_add(bytes) > self.max_partitions_bytes
            || !self.make_room(targets.len(), now_ms)
        {
            return NO_SESSION;
        }
        let mut session = Session::new(uses_topic_ids, now_ms);
        session.update(targets.to_vec(), &[]);
        for partition in session.partitions.values_mut() {
            if let Some(news) = news.get(&partition.target.key) {
                partition.remember(*news);
            }
        }
        let session_id = self.free_id();
        self.partitions_bytes += session.partitions_bytes;
        self.sessions.insert(session_id, session);
        session_id
    }

    /// Evicts, as Kafka does, the session that has been unused for long, or else a smaller one that is not new.
    fn make_room(&mut self, size: usize, now_ms: i64) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let stalest = self.sessions.iter().min_by_key(|(_, session)| session.last_used_ms);
        let stalest = stalest.filter(|(_, session)| now_ms - session.last_used_ms > EVICTION_MS);
        let settled = self.sessions.iter().filter(|(_, session)| now_ms - session.created_ms > EVICTION_MS);
        let smallest = settled.min_by_key(|(id, session)| (session.partitions.len(), **id));
        let smallest = smallest.filter(|(_, session)| session.partitions.len() <= size);
        let evicted = stalest.or(smallest).map(|(id, _)| *id);
        evicted.inspect(|id| self.remove(*id)).is_some()
    }

    fn remove(&mut self, session_id: i32) {
        if let Some(session) = self.sessions.remove(&session_id) {
            self.partitions_bytes -= session.partitions_bytes;
        }
    }

    fn free_id(&mut self) -> i32 {
        loop {
            self.last_id = next_epoch(self.last_id);
            if !self.sessions.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

impl Session {
    fn new(uses_topic_ids: bool, now_ms: i64) -> Session {
        Session {
            partitions_bytes: 0,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            created_ms: now_ms,
            last_used_ms: now_ms,
            partitions: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }

    fn update(&mut self, targets: Vec<FetchTarget>, forgotten: &[PartitionKey]) {
        for target in targets {
            let place = self.places.get(&target.key);
            match place.and_then(|place| self.partitions.get_mut(place)) {
                Some(partition) => {
                    partition.target = FetchTarget { key: partition.target.key.clone(), ..target }
                }
                None => {
                    self.partitions_bytes += target.key.kept_bytes();
                    self.add(SessionPartition::new(target));
                }
            }
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.partitions.remove(&place);
                self.partitions_bytes -= key.kept_bytes();
            }
        }
    }

    fn add(&mut self, partition: SessionPartition) {
        self.places.insert(partition.target.key.clone(), self.next_place);
        self.partitions.insert(self.next_place, partition);
        self.next_place += 1;
    }

    /// Whether the client is told of a partition; what it is told is remembered.
    fn tell(&mut self, key: &PartitionKey, news: PartitionNews) -> bool {
        let Some(place) = self.places.get(key).copied() else { return false };
        let Some(partition) = self.partitions.get_mut(&place) else { return false };
        let told = partition.is_news(news);
        if told {
            partition.remember(news);
        }
        if news.record_bytes > 0
            && let Some(partition) = self.partitions.remove(&place)
        {
            self.add(partition);
        }
        told
    }
}

impl SessionPartition {
    /// Names are copied: the request's are slices of a read buffer, which a session would keep alive.
    fn new(mut target: FetchTarget) -> SessionPartition {
        if let TopicKey::Name(name) = &mut target.key.topic {
            *name = TopicName(StrBytes::from_string(name.to_string()));
        }
        SessionPartition { target, high_watermark: -1, log_start_offset: -1 }
    }

    fn is_news(&self, news: PartitionNews) -> bool {
        news.record_bytes > 0
            || news.error_code != 0
            || news.high_watermark != self.high_watermark
            || news.log_start_offset != self.log_start_offset
    }

    fn remember(&mut self, news: PartitionNews) {
        // After an error the partition is told of again, even if it then is as it was before.
        self.high_watermark = if news.error_code == 0 { news.high_watermark } else { -1 };
        self.log_start_offset = news.log_start_offset;
    }
}

/// Wraps from `i32::MAX` to 1: 0 opens a session.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).filter(|next| *next > 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn key(index: i32) -> PartitionKey {
        PartitionKey { topic: TopicKey::Name(TopicName(StrBytes::from_static_str("t"))), index }
    }

    fn target(index: i32, fetch_offset: i64) -> FetchTarget {
        FetchTarget { key: key(index), fetch_offset, max_bytes: 1, current_leader_epoch: -1 }
    }

    fn request(session_id: i32, epoch: i32, targets: Vec<FetchTarget>) -> SessionRequest {
        SessionRequest { session_id, epoch, uses_topic_ids: false, targets, forgotten: vec![] }
    }

    fn news(high_watermark: i64) -> PartitionNews {
        PartitionNews { error_code: 0, high_watermark, log_start_offset: 0, record_bytes: 0 }
    }

    type Found = (PartitionKey, PartitionNews);

    fn conclude(
        sessions: &mut FetchSessions,
        admitted: &Admitted,
        found: &mut Vec<Found>,
    ) -> Result<i32, ErrorCode> {
        sessions.conclude(admitted.kind, &admitted.targets, found, Found::clone, NOW_MS)
    }

    fn open(sessions: &mut FetchSessions, partitions: i32) -> i32 {
        let targets = (0..partitions).map(|index| target(index, 0)).collect();
        let admitted = sessions.admit(request(0, 0, targets), NOW_MS).unwrap();
        let mut found = (0..partitions).map(|index| (key(index), news(0))).collect();
        let id = conclude(sessions, &admitted, &mut found).unwrap();
        assert_eq!(found.len(), partitions as usize, "a full fetch answers every partition");
        id
    }

    #[test]
    fn an_incremental_fetch_answers_only_news() {
        let mut sessions = FetchSessions::new(10, MAX_PARTITIONS_BYTES);
        let id = open(&mut sessions, 3);
        let admitted = sessions.admit(request(id, 1, vec![]), NOW_MS).unwrap();
        assert_eq!(admitted.targets.len(), 3, "the partitions of the session are read");
        let failed = PartitionNews { error_code: 1, ..news(0) };
        let mut found = vec![(key(0), news(0)), (key(1), news(5)), (key(2), failed)];
        assert_eq!(conclude(&mut sessions, &admitted, &mut found), Ok(id));
        assert_eq!(found.iter().map(|(key, _)| key.index).collect::<Vec<_>>(), [1, 2]);

        let admitted = sessions.admit(request(id, 2, vec![]), NOW_MS).unwrap();
        let mut found = vec![(key(0), news(0)), (key(1), news(5)), (key(2), news(0))];
        conclude(&mut sessions, &admitted, &mut found).unwrap();
        assert_eq!(found.iter().map(|(key, _)| key.index).collect::<Vec<_>>(), [2], "its error has gone");
    }

    #[test]
    fn a_partition_that_gave_records_is_read_last() {
        let mut sessions = FetchSessions::new(10, MAX_PARTITIONS_BYTES);
        let id = open(&mut sessions, 2);
        let admitted = sessions.admit(request(id, 1, vec![]), NOW_MS).unwrap();
        let mut found = vec![(key(0), PartitionNews { record_bytes: 10, ..news(1) }), (key(1), news(0))];
        conclude(&mut sessions, &admitted, &mut found).unwrap();
        let admitted = sessions.admit(request(id, 2, vec![]), NOW_MS).unwrap();
        assert_eq!(admitted.targets.iter().map(|target| target.key.index).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn partitions_are_added_changed_and_forgotten() {
        let mut sessions = FetchSessions::new(10, MAX_PARTITIONS_BYTES);
        let id = open(&mut sessions, 2);
        let mut changed = request(id, 1, vec![target(1, 7), target(2, 0)]);
        changed.forgotten = vec![key(0)];
        let admitted = sessions.admit(changed, NOW_MS).unwrap();
        assert_eq!(admitted.targets, [target(1, 7), target(2, 0)]);
        let mut emptied = request(id, 2, vec![]);
        emptied.forgotten = vec![key(1), key(2)];
        assert_eq!(sessions.admit(emptied, NOW_MS).unwrap().kind, FetchKind::Sessionless);
        assert_eq!(sessions.admit(request(id, 3, vec![]), NOW_MS), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn session_errors() {
        let mut sessions = FetchSessions::new(10, MAX_PARTITIONS_BYTES);
        let id = open(&mut sessions, 1);
        assert_eq!(
            sessions.admit(request(id + 1, 1, vec![]), NOW_MS),
            Err(ErrorCode::FetchSessionIdNotFound)
        );
        assert_eq!(sessions.admit(request(id, 2, vec![]), NOW_MS), Err(ErrorCode::InvalidFetchSessionEpoch));
        let by_id = SessionRequest { uses_topic_ids: true, ..request(id, 1, vec![]) };
        assert_eq!(sessions.admit(by_id, NOW_MS), Err(ErrorCode::FetchSessionTopicIdError));
    }

    #[test]
    fn a_fetch_overtaken_by_another_of_its_session_is_a_duplicate() {
        let mut sessions = FetchSessions::new(10, MAX_PARTITIONS_BYTES);
        let id = open(&mut sessions, 1);
        let first = sessions.admit(request(id, 1, vec![]), NOW_MS).unwrap();
        sessions.admit(request(id, 2, vec![]), NOW_MS).unwrap();
        assert_eq!(conclude(&mut sessions, &first, &mut vec![]), Err(ErrorCode::InvalidFetchSessionEpoch));
    }

    #[test]
    fn epochs_wrap_to_one() {
        assert_eq!(next_epoch(i32::MAX), 1);
        assert_eq!(next_epoch(0), 1);
    }

    #[test]
    fn a_full_cache_evicts_the_stale_and_then_the_small() {
        let mut sessions = FetchSessions::new(1, MAX_PARTITIONS_BYTES);
        let old = open(&mut sessions, 2);
        assert_eq!(sessions.open(false, &[target(0, 0)], &HashMap::new(), NOW_MS), NO_SESSION, "no room yet");
        let later_ms = NOW_MS + EVICTION_MS + 1;
        sessions.admit(request(old, 1, vec![]), later_ms).unwrap();
        assert_eq!(sessions.open(false, &[target(0, 0)], &HashMap::new(), later_ms), NO_SESSION, "smaller");
        let larger = [target(0, 0), target(1, 0), target(2, 0)];
        assert_ne!(sessions.open(false, &larger, &HashMap::new(), later_ms), NO_SESSION);
        let stale_ms = later_ms + EVICTION_MS + 1;
        assert_ne!(sessions.open(false, &[target(0, 0)], &HashMap::new(), stale_ms), NO_SESSION);
    }

    #[test]
    fn what_all_sessions_remember_is_bounded() {
        let per_partition = key(0).kept_bytes();
        let mut sessions = FetchSessions::new(10, 5 * per_partition);
        let id = open(&mut sessions, 3);
        let three = [target(0, 0), target(1, 0), target(2, 0)];
        assert_eq!(sessions.open(false, &three, &HashMap::new(), NOW_MS), NO_SESSION, "answered in full");
        let two = sessions.open(false, &three[..2], &HashMap::new(), NOW_MS);
        assert_ne!(two, NO_SESSION);
        let grown = request(id, 1, vec![target(3, 0)]);
        assert_eq!(sessions.admit(grown, NOW_MS), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(sessions.partitions_bytes, 2 * per_partition, "the session is gone");
        let mut emptied = request(two, 1, vec![]);
        emptied.forgotten = vec![key(0), key(1)];
        sessions.admit(emptied, NOW_MS).unwrap();
        assert_eq!(sessions.partitions_bytes, 0);
    }
}
