//! What Spark says of a text that it cannot run: error class, message, SQLSTATE, line and column.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer::Location;
use thiserror::Error;

/// Lines count from 1, columns from 0, as in Spark's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl From<Location> for Position {
    /// The tokenizer counts columns from 1.
    fn from(location: Location) -> Position {
        Position { line: location.line.max(1), column: location.column.saturating_sub(1) }
    }
}

#[derive(Debug, PartialEq, Eq, Error)]
pub enum SqlError {
    #[error(
        "[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 {}\n\n{}",
        at(*.position),
        excerpt(.text, *.position)
    )]
    Syntax {
        near: Near,
        position: Position,
        /// The whole statement.
        text: String,
    },
    #[error(
        "[UNRESOLVED_COLUMN.{}] A column, variable, or function parameter with name `{name}` cannot be resolved.{} \
         SQLSTATE: 42703; {}",
        if candidates.is_empty() { "WITHOUT_SUGGESTION" } else { "WITH_SUGGESTION" },
        suggestion(candidates),
        line_pos(*.position)
    )]
    UnresolvedColumn { name: String, candidates: Vec<String>, position: Position },
    #[error(
        "[UNRESOLVED_ROUTINE] Cannot resolve routine `{name}` on search path [`system`.`builtin`, `system`.`session`]. \
         SQLSTATE: 42883; {}",
        line_pos(*.position)
    )]
    UnresolvedRoutine { name: String, position: Position },
    #[error(
        "[TABLE_OR_VIEW_NOT_FOUND] The table or view `{name}` cannot be found. To read the topic {name}, write FROM \
         STREAM `{name}`. SQLSTATE: 42P01; {}",
        line_pos(*.position)
    )]
    TableNotFound { name: String, position: Position },
    #[error(
        "[INVALID_IDENTIFIER] The unquoted identifier {name} is invalid and must be back quoted as: `{name}`. Unquoted \
         identifiers can only contain ASCII letters ('a' - 'z', 'A' - 'Z'), digits ('0' - '9'), and underbar ('_'). \
         SQLSTATE: 42602 {}",
        at(*.position)
    )]
    InvalidIdentifier { name: String, position: Position },
    #[error("[UNSUPPORTED_DATATYPE] Unsupported data type \"{name}\". SQLSTATE: 0A000 {}", at(*.position))]
    UnsupportedDataType { name: String, position: Position },
    #[error("{message}; {}", line_pos(*.position))]
    Analysis { message: String, position: Position },
    #[error("{0}")]
    Unpositioned(String),
    #[error("[{class}] {message}; {}", line_pos(*.position))]
    Name { class: &'static str, message: String, position: Position },
    #[error("the job has no query; write SELECT … FROM STREAM <topic>")]
    NoQuery,
    #[error("the job holds {0} queries; this is for one")]
    NotOneQuery(usize),
    #[error(
        "{0} is not served by Ottla; a job has SET, CREATE TABLE, CREATE TEMPORARY VIEW, CREATE STREAMING TABLE, CREATE \
         FLOW and SELECT"
    )]
    NotServed(String),
    #[error(
        "CREATE MATERIALIZED VIEW is not served by Ottla; write CREATE STREAMING TABLE … AS SELECT … FROM STREAM …"
    )]
    MaterializedView,
    #[error("the SELECT reads no stream; write FROM STREAM <topic>")]
    NoStream,
}

/// The token that the parser stumbled over.
#[derive(Debug, PartialEq, Eq)]
pub enum Near {
    Token(String),
    EndOfInput,
    /// Something was left out before this token.
    Missing {
        found: String,
        missing: &'static str,
    },
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Near::Token(token) => write!(f, "'{token}'"),
            Near::EndOfInput => f.write_str("end of input"),
            Near::Missing { found, missing } => write!(f, "'{found}': missing '{missing}'"),
        }
    }
}

/// Where a text ends, for errors at its end.
pub(super) fn end_of(text: &str) -> Position {
    let text = text.trim_end();
    let last = text.lines().last().unwrap_or_default();
    Position { line: text.lines().count().max(1) as u64, column: last.chars().count() as u64 }
}

fn at(position: Position) -> String {
    format!("(line {}, pos {})", position.line, position.column)
}

fn line_pos(position: Position) -> String {
    format!("line {} pos {}", position.line, position.column)
}

/// The statement with a mark under the error.
fn excerpt(text: &str, position: Position) -> String {
    let mut excerpt = String::from("== SQL ==\n");
    for (number, line) in (1..).zip(text.lines()) {
        excerpt.push_str(line);
        excerpt.push('\n');
        if number == position.line {
            let dashes = usize::try_from(position.column).unwrap_or(0).min(line.chars().count());
            excerpt.push_str(&format!("{}^^^\n", "-".repeat(dashes)));
        }
    }
    excerpt
}

fn suggestion(candidates: &[String]) -> String {
    if candidates.is_empty() {
        return String::new();
    }
    let quoted: Vec<_> = candidates.iter().map(|name| format!("`{name}`")).collect();
    format!(" Did you mean one of the following? [{}].", quoted.join(", "))
}
