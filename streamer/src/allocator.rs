//! One heap for all threads, where glibc would make one for each.
//!
//! Blocks of a micro-batch are made by one thread and freed by another, which leaves holes in every heap: a query of
//! windows over five million records holds 40 MB at most, and took 95 MB with a heap a thread, 60 MB with one, no slower on
//! two processors; small blocks come from each thread's own cache anyway. To give large blocks back at once
//! (`M_MMAP_THRESHOLD`) saves less, and makes JSON a third slower: its pages come anew for each batch.
#![allow(unsafe_code)]

/// To be called before there are other threads. A user's own `MALLOC_ARENA_MAX` stays in force.
pub(crate) fn share_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: mallopt changes a parameter of the allocator alone, under its own lock; it reads no memory of ours.
        // A refusal changes nothing.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
