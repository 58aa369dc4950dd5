//! The columns of a table that queries write, and what of a query goes into which of them. Spark's rules for `INSERT INTO`
//! and for the flows of declarative pipelines.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::logical_expr::{Cast, Expr, LogicalPlanBuilder, lit};
use datafusion::scalar::ScalarValue;
use thiserror::Error;

use super::{QueryError, StreamingPlan};
use crate::schema::sql_type;

/// How the columns of a query find those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchedBy {
    Name,
    Position,
}

/// Why a query cannot be written to a table.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InsertError {
    #[error(
        "[INSERT_COLUMN_ARITY_MISMATCH.{}] Cannot write to `{table}`, the reason is {}:\nTable columns: \
         {}.\nData columns: {}. SQLSTATE: 21S01",
        if *is_too_many { "TOO_MANY_DATA_COLUMNS" } else { "NOT_ENOUGH_DATA_COLUMNS" },
        if *is_too_many { "too many data columns" } else { "not enough data columns" },
        listed(columns),
        listed(data)
    )]
    Arity { table: String, is_too_many: bool, columns: Vec<String>, data: Vec<String> },
    #[error(
        "[INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS] Cannot write incompatible data for the table `{table}`: Cannot write \
         extra columns {}. SQLSTATE: KD000",
        listed(columns)
    )]
    ExtraColumns { table: String, columns: Vec<String> },
    #[error(
        "[INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST] Cannot write incompatible data for the table `{table}`: Cannot \
         safely cast `{column}` \"{from}\" to \"{to}\". SQLSTATE: KD000"
    )]
    Cast { table: String, column: String, from: String, to: String },
    #[error(
        "[CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE] Failed to merge incompatible data types \"{one}\" and \"{other}\": the \
         queries that write `{table}` give it the column `{column}` with both; declare its columns, or cast. SQLSTATE: \
         42825"
    )]
    Merge { table: String, column: String, one: String, other: String },
}

fn listed(columns: &[String]) -> String {
    columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
}

/// The columns of a table, as far as its queries are known: those of one after the other, each once.
pub(crate) fn merged(table: &str, known: &Fields, query: &Fields) -> Result<Fields, InsertError> {
    let mut columns: Vec<FieldRef> = known.iter().cloned().collect();
    for field in query {
        match columns.iter().find(|known| is_same(known.name(), field.name())) {
            None => columns.push(field.clone()),
            Some(known) if known.data_type() == field.data_type() => {}
            Some(known) => {
                return Err(InsertError::Merge {
                    table: table.to_owned(),
                    column: field.name().clone(),
                    one: sql_type(known.data_type()),
                    other: sql_type(field.data_type()),
                });
            }
        }
    }
    Ok(columns.into())
}

impl StreamingPlan {
    /// The query's rows with the columns of the table; those that it has not are null.
    pub(crate) fn written_to(
        self,
        table: &str,
        columns: &Fields,
        matched_by: MatchedBy,
    ) -> Result<StreamingPlan, QueryError> {
        let is_same = |(column, field): (&FieldRef, &FieldRef)| {
            column.name() == field.name() && column.data_type() == field.data_type()
        };
        let fields = self.schema().fields().clone();
        if fields.len() == columns.len() && columns.iter().zip(&fields).all(is_same) {
            return Ok(self);
        }
        let places = places(table, columns, &self.names, matched_by)?;
        let mut exprs = Vec::with_capacity(columns.len());
        for (column, place) in columns.iter().zip(&places) {
            exprs.push(self.written(table, column, *place)?.alias(column.name().to_lowercase()));
        }
        let plan = LogicalPlanBuilder::from(self.plan).project(exprs)?.build()?;
        let names = columns.iter().map(|column| column.name().clone()).collect();
        Ok(StreamingPlan { plan, names, ..self })
    }

    /// The value of a table's column.
    fn written(&self, table: &str, column: &FieldRef, place: Option<usize>) -> Result<Expr, QueryError> {
        let Some(place) = place else {
            return Ok(lit(ScalarValue::try_from(column.data_type())?));
        };
        let (qualifier, field) = self.plan.schema().qualified_field(place);
        let value = Expr::Column((qualifier, field).into());
        if field.data_type() == column.data_type() {
            return Ok(value);
        }
        if !can_store(field.data_type(), column.data_type()) {
            return Err(InsertError::Cast {
                table: table.to_owned(),
                column: column.name().clone(),
                from: sql_type(field.data_type()),
                to: sql_type(column.data_type()),
            }
            .into());
        }
        Ok(Expr::Cast(Cast::new(Box::new(value), column.data_type().clone())))
    }
}

/// Which of the query's columns goes into each of the table's.
fn places(
    table: &str,
    columns: &Fields,
    data: &[String],
    matched_by: MatchedBy,
) -> Result<Vec<Option<usize>>, InsertError> {
    if matched_by == MatchedBy::Position {
        return match columns.len() == data.len() {
            true => Ok((0..data.len()).map(Some).collect()),
            false => Err(InsertError::Arity {
                table: table.to_owned(),
                is_too_many: data.len() > columns.len(),
                columns: columns.iter().map(|column| column.name().clone()).collect(),
                data: data.to_vec(),
            }),
        };
    }
    let places = columns.iter().map(|column| data.iter().position(|name| is_same(name, column.name())));
    let places: Vec<_> = places.collect();
    let taken: BTreeSet<_> = places.iter().flatten().collect();
    let extra = data.iter().enumerate().filter(|(place, _)| !taken.contains(place));
    let extra: Vec<_> = extra.map(|(_, name)| name.clone()).collect();
    if extra.is_empty() {
        return Ok(places);
    }
    Err(InsertError::ExtraColumns { table: table.to_owned(), columns: extra })
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Spark's `ANSI` store assignment: what is cast without being asked for.
fn can_store(from: &DataType, to: &DataType) -> bool {
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
    match (from, to) {
        (DataType::Null, _) => true,
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| can_store(from.data_type(), to.data_type()))
        }
        (DataType::List(from), DataType::List(to)) => can_store(from.data_type(), to.data_type()),
        (from, DataType::Utf8) => !from.is_nested() && *from != DataType::Binary,
        (from, to) => from == to || from.is_numeric() && to.is_numeric() || is_time(from) && is_time(to),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn fields(columns: &[(&str, DataType)]) -> Fields {
        columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
    }

    #[test]
    fn columns_are_found_by_name_in_any_case_or_by_place() {
        let columns = fields(&[("a", DataType::Int32), ("B", DataType::Utf8)]);
        let data = ["b".to_owned(), "A".to_owned()];
        assert_eq!(places("t", &columns, &data, MatchedBy::Name), Ok(vec![Some(1), Some(0)]));
        assert_eq!(places("t", &columns, &data, MatchedBy::Position), Ok(vec![Some(0), Some(1)]));
        assert_eq!(places("t", &columns, &data[..1], MatchedBy::Name), Ok(vec![None, Some(0)]));
        let error = places("t", &columns, &data[..1], MatchedBy::Position).unwrap_err().to_string();
        assert!(error.starts_with("[INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS]"), "{error}");
        let error = places("t", &columns, &["c".to_owned()], MatchedBy::Name).unwrap_err().to_string();
        assert!(error.contains("Cannot write extra columns `c`"), "{error}");
    }

    #[test]
    fn columns_of_several_queries_are_put_together() {
        let one = fields(&[("a", DataType::Int32), ("b", DataType::Utf8)]);
        let other = fields(&[("c", DataType::Boolean), ("A", DataType::Int32)]);
        let all = merged("t", &one, &other).unwrap();
        assert_eq!(all, fields(&[("a", DataType::Int32), ("b", DataType::Utf8), ("c", DataType::Boolean)]));
        let error = merged("t", &one, &fields(&[("b", DataType::Int32)])).unwrap_err().to_string();
        assert!(error.contains("\"STRING\" and \"INT\""), "{error}");
    }

    #[test]
    fn text_is_no_number_but_numbers_are_text() {
        assert!(can_store(&DataType::Int64, &DataType::Int8) && can_store(&DataType::Int32, &DataType::Utf8));
        assert!(
            !can_store(&DataType::Utf8, &DataType::Int32) && !can_store(&DataType::Boolean, &DataType::Int32)
        );
    }
}
