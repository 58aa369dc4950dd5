//! The limit of open files. Each connection takes one, each partition a few; the soft limit, which is for programs that
//! use `select`, is 1,024 on most Linux systems and 256 on macOS. As the JVM does for Kafka, and Go for kfake, the
//! broker raises it to the hard limit. Windows has none.

#[cfg(unix)]
pub(super) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// macOS says "unlimited" and takes no more than its `OPEN_MAX`.
    const OPEN_MAX: u64 = 10_240;

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = if cfg!(target_vendor = "apple") {
        Some(maximum.map_or(OPEN_MAX, |maximum| maximum.min(OPEN_MAX)))
    } else {
        maximum
    };
    // Nothing means that there is no limit.
    if current.is_none_or(|current| wanted.is_some_and(|wanted| wanted <= current)) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }) {
        tracing::warn!("cannot raise the limit of open files from {current:?} to {wanted:?}: {error}");
    }
}

#[cfg(not(unix))]
pub(super) fn raise_limit() {}
