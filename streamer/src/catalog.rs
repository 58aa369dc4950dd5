//! The names of a job: tables and views that its statements declare. Spark compares them without regard to case.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Fields;

use crate::sql::{IfExists, Position, SqlError, TableDefinition, View, ViewDefinition};

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    entries: BTreeMap<String, Entry>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Data that queries read, as a stream or whole.
    Table(Arc<TableDefinition>),
    View(Arc<View>),
    /// Where queries write to.
    StreamingTable(WrittenTable),
}

/// A table that queries of the job write.
#[derive(Clone, Debug)]
pub(crate) struct WrittenTable {
    pub(crate) definition: Arc<TableDefinition>,
    /// Those that are declared, or else those of the queries so far that write it.
    pub(crate) columns: Fields,
}

impl Catalog {
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(&name.to_lowercase())
    }

    pub(crate) fn declare_table(&mut self, table: TableDefinition, at: Position) -> Result<(), SqlError> {
        let (name, if_exists) = (table.name.clone(), table.if_exists);
        self.declare(&name, if_exists, Entry::Table(Arc::new(table)), at)
    }

    pub(crate) fn declare_view(&mut self, view: ViewDefinition, at: Position) -> Result<(), SqlError> {
        let ViewDefinition { name, if_exists, columns, query } = view;
        self.declare(&name, if_exists, Entry::View(Arc::new(View { columns, query })), at)
    }

    pub(crate) fn declare_streaming_table(
        &mut self,
        definition: &Arc<TableDefinition>,
        columns: Fields,
        at: Position,
    ) -> Result<(), SqlError> {
        let table = WrittenTable { definition: definition.clone(), columns };
        self.declare(&definition.name, definition.if_exists, Entry::StreamingTable(table), at)
    }

    pub(crate) fn set_columns(&mut self, streaming_table: &str, columns: Fields) {
        if let Some(Entry::StreamingTable(table)) = self.entries.get_mut(&streaming_table.to_lowercase()) {
            table.columns = columns;
        }
    }

    /// The streaming table that a flow writes to.
    pub(crate) fn streaming_table(&self, name: &str, at: Position) -> Result<WrittenTable, SqlError> {
        match self.get(name) {
            Some(Entry::StreamingTable(table)) => Ok(table.clone()),
            Some(_) => Err(SqlError::Analysis {
                message: format!(
                    "a flow cannot write to {name}; declare it with CREATE STREAMING TABLE {name} USING …"
                ),
                position: at,
            }),
            None => Err(SqlError::TableNotFound { name: name.to_owned(), position: at }),
        }
    }

    fn declare(
        &mut self,
        name: &str,
        if_exists: IfExists,
        entry: Entry,
        position: Position,
    ) -> Result<(), SqlError> {
        let key = name.to_lowercase();
        let is_view = matches!(entry, Entry::View(_));
        match (self.entries.contains_key(&key), if_exists) {
            (true, IfExists::Keep) => return Ok(()),
            (true, IfExists::Fail) => {
                let (class, kind) = if is_view {
                    ("TEMP_TABLE_OR_VIEW_ALREADY_EXISTS", "the temporary view")
                } else {
                    ("TABLE_OR_VIEW_ALREADY_EXISTS", "table or view")
                };
                let message = format!(
                    "Cannot create {kind} `{name}` because it already exists. Choose a different name, drop or replace \
                     the existing object, or add the IF NOT EXISTS clause to tolerate pre-existing objects. SQLSTATE: \
                     42P07"
                );
                return Err(SqlError::Name { class, message, position });
            }
            _ => {}
        }
        self.entries.insert(key, entry);
        Ok(())
    }
}
