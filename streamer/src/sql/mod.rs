//! The SQL front: Spark's text to the statements of a job, and a query's names to what they mean.
//!
//! ```text
//! text -> tokens -> statement_parser -> statements
//!                   \_ query: from_clause, interval -> parser -> generator, time_window -> QueryText
//! QueryText + Names -> resolve -> StreamingSelect -> (session) select_list -> plan, with relation
//! ```

mod ast;
mod column_name;
mod cursor;
mod dialect;
mod error;
mod field_access;
mod from_clause;
mod generator;
mod interval;
mod number_literal;
mod operators;
mod query;
pub(crate) mod relation;
mod resolve;
mod schema_call;
pub(crate) mod select_list;
mod shorthand;
mod statement;
mod statement_parser;
mod string_literal;
mod time_window;
mod tokens;
pub(crate) mod types;
mod variadic;

pub use error::{Near, Position, SqlError};
pub use query::{OutputColumn, QueryText, StreamingSelect};
pub use resolve::{Names, Relation, View};
pub use statement::{Flow, IfExists, Statement, StatementKind, TableDefinition, ViewDefinition};
pub(crate) use statement_parser::parse_delay;
pub use statement_parser::{parse_job, parse_query};

#[cfg(test)]
mod tests;
