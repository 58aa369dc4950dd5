//! What can go wrong with a database sink. Passwords are never told.

use thiserror::Error;

#[derive(Debug, Error)]
pub enum DatabaseError {
    #[error("option dbtable '{0}' names no table: write table, schema.table, or \"a name\" in double quotes")]
    TableName(String),
    #[error("key column {name} not found in existing columns ({known})")]
    KeyColumn { name: String, known: String },
    #[error("two columns are called {0}, which no table can have; give them names with AS")]
    RepeatedColumn(String),
    #[error("option url is no address of a PostgreSQL server, such as postgresql://localhost:5432/db: {0}")]
    Url(String),
    #[error(
        "cannot connect to PostgreSQL at {server}: {cause}; see that it runs and that user and password are right"
    )]
    Connect { server: String, cause: String },
    #[error(
        "PostgreSQL at {server} refused to {action}: {cause}. Nothing of this batch is in the table; once the cause is gone, \
         start the query again"
    )]
    Postgres { server: String, action: String, cause: String },
    #[error(
        "SQLite cannot {action} in {path}: {cause}. Nothing of this batch is in the table; once the cause is gone, start the \
         query again"
    )]
    Sqlite { path: String, action: String, cause: rusqlite::Error },
}
