//! Several sorted sources as one, in which the newest entry of a key counts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::collections::btree_map;

use bytes::Bytes;

use super::StateError;
use super::changes::Changed;
use super::run::{Change, RunCursor};

#[derive(Debug)]
pub(super) enum Source<'a> {
    Changes(btree_map::Range<'a, Bytes, Changed>),
    Run(RunCursor),
}

/// The next entry of each source that is not through.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    sources: Vec<Source<'a>>,
    heads: BinaryHeap<Head>,
}

#[derive(Debug)]
struct Head {
    key: Bytes,
    value: Option<Bytes>,
    /// The source's place; the newest has the lowest.
    source: usize,
}

impl<'a> Merged<'a> {
    /// The newest source first.
    pub(super) fn new(mut sources: Vec<Source<'a>>) -> Result<Merged<'a>, StateError> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (place, source) in sources.iter_mut().enumerate() {
            if let Some((key, value)) = source.next()? {
                heads.push(Head { key, value, source: place });
            }
        }
        Ok(Merged { sources, heads })
    }

    /// The next key with what the newest source says of it.
    pub(super) fn next(&mut self) -> Result<Option<Change>, StateError> {
        let Some(newest) = self.take()? else {
            return Ok(None);
        };
        while self.heads.peek().is_some_and(|head| head.key == newest.key) {
            self.take()?;
        }
        Ok(Some((newest.key, newest.value)))
    }

    fn take(&mut self) -> Result<Option<Head>, StateError> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let next = match self.sources.get_mut(head.source) {
            Some(source) => source.next()?,
            None => None,
        };
        Ok(Some(match next {
            Some((key, value)) => {
                let source = head.source;
                std::mem::replace(&mut *head, Head { key, value, source })
            }
            None => PeekMut::pop(head),
        }))
    }
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Change>, StateError> {
        match self {
            Source::Changes(changes) => {
                Ok(changes.next().map(|(key, changed)| (key.clone(), changed.value.clone())))
            }
            Source::Run(run) => run.next(),
        }
    }
}

/// The heap's greatest is the lowest key, and of that the newest.
impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        other.key.cmp(&self.key).then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
