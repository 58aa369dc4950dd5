//! Where tests end the process as a kill would, or have no disk left, in debug builds alone.

use std::io;

/// With `OTTLA_CRASH_POINT=n` in the environment the process ends on the spot when it comes here for the n-th time.
#[cfg(debug_assertions)]
pub(crate) fn pass() {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static LAST: OnceLock<Option<u64>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let last = LAST.get_or_init(|| std::env::var("OTTLA_CRASH_POINT").ok()?.parse().ok());
    if let Some(last) = last
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *last
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn pass() {}

/// To be asked before something is written to a checkpoint. With `OTTLA_DISK_FULL_FROM=n` in the environment there is no
/// space from the n-th time on.
#[cfg(debug_assertions)]
pub(crate) fn space() -> io::Result<()> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FULL: OnceLock<Option<u64>> = OnceLock::new();
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let full = FULL.get_or_init(|| std::env::var("OTTLA_DISK_FULL_FROM").ok()?.parse().ok());
    match full {
        Some(full) if ASKED.fetch_add(1, Ordering::Relaxed) + 1 >= *full => {
            Err(io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn space() -> io::Result<()> {
    Ok(())
}
