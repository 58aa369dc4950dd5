//! Whole queries in process, beside what a real Spark made of them.

mod joins_as_spark;
mod joins_split;
mod limit;
mod select_list;
mod state;
mod streams;
