//! How many connections a test may open.

/// What a test needs besides: its runtime's, its console's, the broker's own files.
const RESERVED: usize = 200;

/// At most `wanted`, and no more than the limit of open files has room for; says so if that is less.
pub fn connections(wanted: usize) -> usize {
    let room = limit().saturating_sub(RESERVED);
    if room < wanted {
        crate::console::say(&format!("{room} of {wanted} connections: raise the limit with `ulimit -n`"));
    }
    wanted.min(room)
}

/// Raises the limit as far as the system lets it.
#[cfg(unix)]
fn limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised, it is what it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn limit() -> usize {
    usize::MAX
}
