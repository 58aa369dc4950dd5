//! Which segments of a partition are in use, and what waits for that to end. Pure: it says what is due, and is told
//! what was done.

use std::collections::BTreeMap;

use super::names::Suffix;

/// Two segments have the same base offset for as long as one of them, which the other has replaced, is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    pub(super) base_offset: i64,
    /// 0 for what was not made by compaction since the log was opened.
    pub(super) generation: u32,
}

/// Why a segment is no part of the log any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retirement {
    /// The log begins behind it.
    Dropped,
    /// Another segment holds what is left of its records.
    Replaced {
        /// That one begins at the same offset.
        same_base: bool,
    },
}

/// What can be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    RemoveDir,
    Trim {
        id: SegmentId,
        len_bytes: u64,
    },
    Remove {
        id: SegmentId,
        suffix: Suffix,
        snapshot_too: bool,
    },
    /// The files get the names of those that they replace.
    TakeNames {
        id: SegmentId,
    },
}

/// Whose files these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owner {
    #[default]
    Log,
    /// To be removed with the directory.
    Nobody,
    /// Whoever opens the log next.
    NextStart,
}

#[derive(Debug, Default)]
pub(super) struct Uses {
    segments: BTreeMap<SegmentId, Use>,
    swap: Option<Swap>,
    is_cleaning: bool,
    /// `.cleaned` or `.swap` files are left that could not be renamed or removed.
    has_leftovers: bool,
    generations: u32,
    owner: Owner,
    /// What is due was tried in vain.
    has_failed: bool,
}

#[derive(Debug, Default)]
struct Use {
    leases: u32,
    trim_to_bytes: Option<u64>,
    retired: Option<Retirement>,
}

/// A segment whose files still have the suffix `.swap`.
#[derive(Clone, Copy, Debug)]
struct Swap {
    id: SegmentId,
    /// Those that it replaces are retired.
    is_part_of_log: bool,
}

impl Uses {
    pub(super) fn lease(&mut self, id: SegmentId) {
        self.segments.entry(id).or_default().leases += 1;
    }

    pub(super) fn release(&mut self, id: SegmentId) {
        if let Some(used) = self.segments.get_mut(&id) {
            used.leases -= 1;
            self.forget_if_idle(id);
        }
    }

    pub(super) fn is_leased(&self) -> bool {
        self.segments.values().any(|used| used.leases > 0)
    }

    pub(super) fn suffix(&self, id: SegmentId) -> Suffix {
        if self.swap.is_some_and(|swap| swap.id == id) { Suffix::Swap } else { Suffix::None }
    }

    pub(super) fn trim(&mut self, id: SegmentId, len_bytes: u64) {
        self.segments.entry(id).or_default().trim_to_bytes = Some(len_bytes);
    }

    pub(super) fn retire(&mut self, id: SegmentId, why: Retirement) {
        self.segments.entry(id).or_default().retired = Some(why);
        if let (Some(swap), Retirement::Replaced { .. }) = (&mut self.swap, why) {
            swap.is_part_of_log = true;
        }
    }

    pub(super) fn condemn(&mut self) {
        self.owner = Owner::Nobody;
    }

    /// Nothing is due any more.
    pub(super) fn hand_over(&mut self) {
        self.owner = Owner::NextStart;
    }

    /// Whether a segment may be written that replaces others. One at a time: a start that finds two takes the second
    /// for incomplete, or removes what lies between them.
    pub(super) fn begin_cleaning(&mut self) -> bool {
        let may_begin = !self.is_cleaning && !self.has_leftovers && self.swap.is_none();
        self.is_cleaning |= may_begin;
        may_begin
    }

    pub(super) fn end_cleaning(&mut self, has_leftovers: bool) {
        self.is_cleaning = false;
        self.has_leftovers |= has_leftovers;
    }

    /// The segment at `base_offset` whose files have the suffix `.swap` now.
    pub(super) fn swap_in(&mut self, base_offset: i64) -> SegmentId {
        self.generations += 1;
        let id = SegmentId { base_offset, generation: self.generations };
        self.swap = Some(Swap { id, is_part_of_log: false });
        id
    }

    pub(super) fn failed(&mut self) {
        self.has_failed = true;
    }

    pub(super) fn try_again(&mut self) {
        self.has_failed = false;
    }

    pub(super) fn due(&self) -> Option<Due> {
        match self.owner {
            _ if self.has_failed => None,
            Owner::NextStart => None,
            Owner::Nobody => (!self.is_leased()).then_some(Due::RemoveDir),
            Owner::Log => self.removal().or_else(|| self.trimming()).or_else(|| self.naming()),
        }
    }

    pub(super) fn done(&mut self, done: Due) {
        match done {
            Due::RemoveDir => self.owner = Owner::NextStart,
            Due::Trim { id, .. } => {
                if let Some(used) = self.segments.get_mut(&id) {
                    used.trim_to_bytes = None;
                    self.forget_if_idle(id);
                }
            }
            Due::Remove { id, .. } => {
                self.segments.remove(&id);
                self.swap = self.swap.filter(|swap| swap.id != id);
            }
            Due::TakeNames { .. } => self.swap = None,
        }
    }

    /// Files go in the order of their offsets, so that a kill leaves no gap.
    fn removal(&self) -> Option<Due> {
        let (&id, used) = self.segments.iter().find(|(_, used)| used.retired.is_some())?;
        let snapshot_too = used.retired != Some(Retirement::Replaced { same_base: true });
        (used.leases == 0).then(|| Due::Remove { id, suffix: self.suffix(id), snapshot_too })
    }

    fn trimming(&self) -> Option<Due> {
        self.segments.iter().find_map(|(&id, used)| {
            let len_bytes = used.trim_to_bytes.filter(|_| used.leases == 0 && used.retired.is_none())?;
            Some(Due::Trim { id, len_bytes })
        })
    }

    fn naming(&self) -> Option<Due> {
        let Swap { id, is_part_of_log } = self.swap?;
        let is_leased = self.segments.get(&id).is_some_and(|used| used.leases > 0);
        let is_replaced = |used: &Use| matches!(used.retired, Some(Retirement::Replaced { .. }));
        let must_wait = is_leased || self.segments.values().any(is_replaced);
        (is_part_of_log && !must_wait).then_some(Due::TakeNames { id })
    }

    fn forget_if_idle(&mut self, id: SegmentId) {
        let is_idle = |used: &Use| used.leases == 0 && used.trim_to_bytes.is_none() && used.retired.is_none();
        if self.segments.get(&id).is_some_and(is_idle) {
            self.segments.remove(&id);
        }
    }
}
