//! Whole queries in process, beside what a real Spark made of them.

mod joins_as_spark;
mod joins_split;
mod limit;
mod state;
mod streams;
mod struct_star;
