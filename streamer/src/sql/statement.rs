//! The statements of a job.

use super::Position;
use super::query::QueryText;
use crate::options::Options;

/// One statement, with the place where it begins.
#[derive(Debug)]
pub struct Statement {
    pub kind: StatementKind,
    pub position: Position,
}

#[derive(Debug)]
pub enum StatementKind {
    /// `SET key = value`, `SET TIME ZONE …`
    Set { key: String, value: String },
    /// `CREATE TABLE … USING …`, `CREATE TEMPORARY VIEW … USING …`: data that queries read.
    CreateTable(TableDefinition),
    /// `CREATE TEMPORARY VIEW … AS SELECT …`
    CreateView(ViewDefinition),
    /// `CREATE STREAMING TABLE …`: where a query's rows go, with the query or without.
    CreateStreamingTable { table: TableDefinition, query: Option<QueryText> },
    /// `CREATE FLOW … AS INSERT INTO …`, or the INSERT alone.
    Flow(Flow),
    /// A SELECT: its rows go where the command line says.
    Query(QueryText),
}

/// How a statement behaves when its name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    Fail,
    Replace,
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDefinition {
    /// As written, without backticks.
    pub name: String,
    pub if_exists: IfExists,
    /// What stands behind USING.
    pub format: Option<String>,
    /// OPTIONS, and LOCATION as the option `path`.
    pub options: Options,
    /// The columns in Spark's DDL, as written.
    pub columns: Option<String>,
    pub partitioned_by: Vec<String>,
}

#[derive(Debug)]
pub struct ViewDefinition {
    pub name: String,
    pub if_exists: IfExists,
    /// Names in place of the query's own; none: the query's.
    pub columns: Vec<String>,
    pub query: QueryText,
}

#[derive(Debug)]
pub struct Flow {
    pub name: Option<String>,
    /// The streaming table that it writes to.
    pub table: String,
    /// `BY NAME`: columns are matched by their names, else by their places.
    pub by_name: bool,
    pub query: QueryText,
}
