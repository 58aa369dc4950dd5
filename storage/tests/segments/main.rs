//! Segments that go and segments that are replaced: what readers see, what is on the disk, and what a start makes of it.
#![allow(clippy::disallowed_methods)]

mod fixture;
mod kills;
mod leftovers;
mod replace;
mod start;
