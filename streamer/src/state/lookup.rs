//! Finds sorted keys in runs: run by run, so that each is read from front to back.

use std::sync::Arc;

use bytes::Bytes;

use super::StateError;
use super::block_cache::BlockCache;
use super::filter;
use super::run::Run;
use super::run_format::read_entry;

/// A key that is looked for.
struct Wanted<'a> {
    place: usize,
    key: &'a [u8],
    hash: u64,
}

/// Calls `found` with each key's place and value if one of the runs, newest first, has it alive.
/// Keys in order are found fastest.
pub(super) fn lookup<'a>(
    runs: &[Arc<Run>],
    cache: &BlockCache,
    keys: impl Iterator<Item = (usize, &'a [u8])>,
    mut found: impl FnMut(usize, &[u8]),
) -> Result<(), StateError> {
    let mut wanted: Vec<_> =
        keys.map(|(place, key)| Wanted { place, key, hash: filter::hash(key) }).collect();
    for run in runs {
        if wanted.is_empty() {
            break;
        }
        let mut blocks = Blocks { run, cache, block: None };
        let mut failure = None;
        wanted.retain(|wanted| {
            if failure.is_some() || !run.may_contain(wanted.key, wanted.hash) {
                return true;
            }
            match blocks.find(wanted.key) {
                Ok(None) => true,
                Ok(Some((block, Some(value)))) => {
                    found(wanted.place, block.get(value).unwrap_or_default());
                    false
                }
                Ok(Some((_, None))) => false,
                Err(error) => {
                    failure = Some(error);
                    true
                }
            }
        });
        failure.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// A run's blocks, the last one in the hand.
struct Blocks<'a> {
    run: &'a Run,
    cache: &'a BlockCache,
    block: Option<(usize, Bytes)>,
}

/// A block, and where the value is in it unless the key is gone.
type Found<'a> = (&'a Bytes, Option<std::ops::Range<usize>>);

impl Blocks<'_> {
    fn find(&mut self, key: &[u8]) -> Result<Option<Found<'_>>, StateError> {
        let hint = self.block.as_ref().map_or(0, |(place, _)| *place);
        let Some(place) = self.run.tail.index.block_of(key, hint) else {
            return Ok(None);
        };
        let block = match self.block.take() {
            Some((in_hand, block)) if in_hand == place => block,
            _ => self.run.block(place, self.cache, true)?,
        };
        let (_, block) = self.block.insert((place, block));
        let mut at = 0;
        while at < block.len() {
            let entry = read_entry(block, at)
                .ok_or_else(|| self.run.damaged(format!("an entry of its block {place} is cut off")))?;
            at = entry.end();
            match block.get(entry.key).unwrap_or_default().cmp(key) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some((block, entry.value))),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }
}
