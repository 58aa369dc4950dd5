//! What was committed for groups, in order, also of topics that are gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::OffsetKey;

#[derive(Default)]
pub(crate) struct OffsetsLog {
    pub(crate) synced: BTreeMap<OffsetKey, i64>,
    /// Since then, in order; `None` is a deletion.
    pub(crate) unsynced: Vec<(OffsetKey, Option<i64>)>,
}

impl OffsetsLog {
    /// What the group may have, from the oldest state to the newest.
    pub(crate) fn states_of(&self, group: &str) -> Vec<BTreeMap<OffsetKey, i64>> {
        let is_of_group = |key: &OffsetKey| key.0 == group;
        let mut state = self.synced.clone();
        state.retain(|key, _| is_of_group(key));
        let mut states = vec![state.clone()];
        for (key, offset) in self.unsynced.iter().filter(|(key, _)| is_of_group(key)) {
            put(&mut state, key, *offset);
            states.push(state.clone());
        }
        states
    }

    pub(crate) fn groups(&self) -> BTreeSet<String> {
        let keys = self.synced.keys().chain(self.unsynced.iter().map(|(key, _)| key));
        keys.map(|(group, ..)| group.clone()).collect()
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        let keys = self.synced.keys().chain(self.unsynced.iter().map(|(key, _)| key));
        let gone: BTreeSet<OffsetKey> = keys.filter(|(_, of_topic, _)| of_topic == topic).cloned().collect();
        self.unsynced.extend(gone.into_iter().map(|key| (key, None)));
    }

    pub(crate) fn sync(&mut self) {
        for (key, offset) in std::mem::take(&mut self.unsynced) {
            put(&mut self.synced, &key, offset);
        }
    }
}

fn put(offsets: &mut BTreeMap<OffsetKey, i64>, key: &OffsetKey, offset: Option<i64>) {
    match offset {
        Some(offset) => drop(offsets.insert(key.clone(), offset)),
        None => drop(offsets.remove(key)),
    }
}
