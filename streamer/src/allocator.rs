//! As many heaps as there are processors, where glibc would make one for each thread and eight for each processor.
//!
//! Blocks of a micro-batch are made by one thread and freed by another, which leaves holes in every heap: a query of
//! windows over five million records held 40 MB at most and took 93 MB with three heaps, 53 MB with two. To give large
//! blocks back at once (`M_MMAP_THRESHOLD`) saves as much, and makes JSON a third slower: pages come anew for each batch.
#![allow(unsafe_code)]

/// To be called before there are other threads. A user's own `MALLOC_ARENA_MAX` stays in force.
pub(crate) fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        let processors = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
        let heaps = libc::c_int::try_from(processors).unwrap_or(libc::c_int::MAX);
        // SAFETY: mallopt changes a parameter of the allocator alone, under its own lock; it reads no memory of ours.
        // A refusal changes nothing.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }
}
