//! Rows into tables of databases, a transaction a batch, each batch once.

mod error;
mod postgres;
mod sqlite;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use error::DatabaseError;
pub use postgres::PostgresSink;
pub use sqlite::SqliteSink;
