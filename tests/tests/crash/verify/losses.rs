//! What a power cut may take with `flush.ms` alone: of each log the end, back to the last sync at most.

use std::collections::{BTreeMap, BTreeSet};

use super::{LATEST, committed_offset, idempotent, list_offset, resend};
use crate::life::Life;
use crate::model::{BatchModel, Model, OffsetKey, OffsetModel};
use crate::offsets_log::OffsetsLog;

/// Compares where the log ends with what the disk had. Producers send again what is gone.
pub(super) async fn records(life: &mut Life, model: &mut Model, topic: &str, partition: i32) {
    let end = list_offset(life, topic, partition, LATEST).await;
    let known = model.partition(topic, partition);
    let left = known.batches.partition_point(|batch| batch.end_offset() <= end);
    let lost = known.batches.split_off(left);
    let what = format!("{topic}-{partition} ends at {end}");
    assert!(left >= known.synced_batches, "{what}, but the disk had {:?}", &lost);
    let ends_in_doubt = known.doubtful.as_ref().is_some_and(|doubtful| doubtful.end_offset() == end);
    let ends_well = known.end_offset() == end || lost.is_empty() && ends_in_doubt;
    assert!(ends_well, "{what}, where no batch does: {:?} before {lost:?}", known.batches.last());
    model.lost_batches += lost.len() as u64;
    for batch in idempotent(&lost) {
        let expected = model.partition(topic, partition).end_offset();
        let base_offset = resend(life, topic, partition, batch).await;
        assert_eq!(base_offset, Ok(expected), "{what}: {batch:?} comes again");
        let again = BatchModel { base_offset: expected, ..batch.clone() };
        model.partition(topic, partition).batches.push(again);
    }
}

/// Of each group those that it had at some time since the last sync.
pub(super) async fn offsets(life: &mut Life, model: &mut Model) {
    let mut all_found = BTreeMap::new();
    for group in model.offsets_log.groups() {
        let states = model.offsets_log.states_of(&group);
        let keys: BTreeSet<&OffsetKey> = states.iter().flat_map(BTreeMap::keys).collect();
        let mut found = BTreeMap::new();
        for key in keys {
            let offset = committed_offset(life, key).await;
            found.extend(offset.map(|offset| (key.clone(), offset)));
        }
        assert!(states.contains(&found), "{group} has {found:?}, but had, one after the other, {states:?}");
        all_found.extend(found);
    }
    for (key, known) in &mut model.offsets {
        *known = OffsetModel { committed: all_found.get(key).copied(), ..OffsetModel::default() };
    }
    model.offsets_log = OffsetsLog { synced: all_found, unsynced: Vec::new() };
}
