//! The table that rows go to, and the SQL that both databases have in common. Every name in it is quoted.

use datafusion::arrow::datatypes::{DataType, SchemaRef};

use super::error::DatabaseError;
use crate::options::Options;
use crate::sink::{SinkContext, SinkError, spark_layout};

/// Which batch of which query is in a database.
const BATCHES: &str = "ottla_batches";

#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Quoted, with a dot at the end; empty without one.
    schema_prefix: String,
    name: String,
    /// The rows' columns, in the layouts that [`spark_layout`] gives.
    pub(super) columns: SchemaRef,
    keys: Vec<String>,
}

impl Table {
    /// Options `dbtable`, and `keyColumns` with commas between.
    pub(super) fn new(
        options: &Options,
        context: &SinkContext,
        whom: &'static str,
    ) -> Result<Table, SinkError> {
        let written = options.required("dbtable", whom)?;
        let mut parts = split(written).ok_or_else(|| DatabaseError::TableName(written.to_owned()))?;
        let name = parts.pop().ok_or_else(|| DatabaseError::TableName(written.to_owned()))?;
        let schema_prefix = parts.iter().map(|part| quote(part) + ".").collect();
        let columns = spark_layout::schema(&context.schema);
        let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|earlier| earlier == name) {
                return Err(DatabaseError::RepeatedColumn((*name).to_owned()).into());
            }
        }
        let keys = options.get("keyColumns").unwrap_or_default().split(',').map(str::trim);
        let keys: Vec<String> = keys.filter(|key| !key.is_empty()).map(str::to_owned).collect();
        if let Some(unknown) = keys.iter().find(|key| !names.contains(&key.as_str())) {
            let (name, known) = (unknown.clone(), names.join(", "));
            return Err(DatabaseError::KeyColumn { name, known }.into());
        }
        Ok(Table { schema_prefix, name, columns, keys })
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Quoted, with its schema.
    pub(super) fn quoted(&self) -> String {
        format!("{}{}", self.schema_prefix, quote(&self.name))
    }

    /// The table of batches, which is beside this one.
    pub(super) fn batches(&self) -> String {
        format!("{}{}", self.schema_prefix, quote(BATCHES))
    }

    pub(super) fn column_list(&self) -> String {
        let names = self.columns.fields().iter().map(|field| quote(field.name()));
        names.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn key_list(&self) -> String {
        self.keys.iter().map(|key| quote(key)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn create(&self, type_name: impl Fn(&DataType) -> String) -> String {
        let column = |field: &datafusion::arrow::datatypes::Field| {
            format!("{} {}", quote(field.name()), type_name(field.data_type()))
        };
        let mut parts: Vec<_> = self.columns.fields().iter().map(|field| column(field)).collect();
        if self.has_keys() {
            parts.push(format!("PRIMARY KEY ({})", self.key_list()));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.quoted(), parts.join(", "))
    }

    pub(super) fn create_batches(&self) -> String {
        let table = self.batches();
        format!("CREATE TABLE IF NOT EXISTS {table} (query_id text PRIMARY KEY, batch_id bigint NOT NULL)")
    }

    /// What an insert does about a row whose key is there already; empty without keys.
    pub(super) fn on_conflict(&self) -> String {
        if !self.has_keys() {
            return String::new();
        }
        let fields = self.columns.fields().iter();
        let others = fields.filter(|field| !self.keys.contains(field.name()));
        let set: Vec<_> =
            others.map(|field| quote(field.name())).map(|n| format!("{n} = excluded.{n}")).collect();
        match set.is_empty() {
            true => format!(" ON CONFLICT ({}) DO NOTHING", self.key_list()),
            false => format!(" ON CONFLICT ({}) DO UPDATE SET {}", self.key_list(), set.join(", ")),
        }
    }
}

/// `"` is doubled inside of quotes, so a name cannot end them.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Splits at the dots that are not in double quotes. `None` for no name, or one that goes on after its quotes.
fn split(written: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = written.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (part, after) = rest.split_at_checked(end)?;
                (part.to_owned(), after)
            }
        };
        if part.is_empty() || part.contains('\0') {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(parts),
        }
    }
}

fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                name.push('"');
            }
            '"' => return Some((name, text.get(at + 1..)?)),
            other => name.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::test_batches::{context, schema};

    fn table(dbtable: &str, keys: &str) -> Result<Table, String> {
        let options = Options::from_iter([("dbtable", dbtable), ("keyColumns", keys)]);
        let context = context(std::path::Path::new("cp"), schema());
        Table::new(&options, &context, "a test").map_err(|error| error.to_string())
    }

    #[test]
    fn no_name_can_end_its_quotes() {
        let table = table("x\"; DROP TABLE y; --", "word").unwrap();
        let quoted = "\"x\"\"; DROP TABLE y; --\"";
        assert_eq!(table.quoted(), quoted);
        assert_eq!(
            table.create(|_| "text".to_owned()),
            format!(
                "CREATE TABLE IF NOT EXISTS {quoted} (\"word\" text, \"n\" text, PRIMARY KEY (\"word\"))"
            )
        );
        assert_eq!(table.on_conflict(), " ON CONFLICT (\"word\") DO UPDATE SET \"n\" = excluded.\"n\"");
    }

    #[test]
    fn schemas_and_quoted_names_are_split() {
        let names = |dbtable| table(dbtable, "").map(|table| (table.quoted(), table.batches()));
        let expected = ("\"s\".\"t\"".to_owned(), "\"s\".\"ottla_batches\"".to_owned());
        assert_eq!(names("s.t"), Ok(expected));
        assert_eq!(names("\"a.b\"\"c\"").unwrap().0, "\"a.b\"\"c\"");
        for wrong in ["", ".", "a.", "\"a\"b", "\"a"] {
            assert!(names(wrong).unwrap_err().contains("names no table"), "{wrong}");
        }
        assert!(table("t", "word, nope").unwrap_err().starts_with("key column nope not found"));
    }
}
