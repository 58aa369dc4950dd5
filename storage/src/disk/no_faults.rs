//! What stands for `faults` outside of tests: nothing.
#![expect(clippy::unnecessary_wraps, reason = "with the feature `faults` they fail")]

use std::{io, ops::Range, path::Path};

use super::Operation;

pub(super) fn before(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn torn<'a>(_: Operation, _: &Path, bytes: &'a [u8]) -> (&'a [u8], io::Result<()>) {
    (bytes, Ok(()))
}

pub(crate) fn synced(_: &Path, _: &Range<u64>) -> bool {
    false
}

pub(super) fn renamed(_: &Path, _: &Path) {}

pub(super) fn synced_dir(_: &Path) -> bool {
    false
}
