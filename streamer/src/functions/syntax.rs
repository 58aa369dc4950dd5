//! `j.field`, `array[0]`, `map(key, value)`: syntax that DataFusion plans otherwise than Spark.
//!
//! Names of fields are not case-sensitive, and arrays count from 0.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_err};
use datafusion::functions::core::get_field;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, ScalarUDF};

use super::map::SparkMap;

/// Stands before DataFusion's own planners.
#[derive(Debug)]
pub(crate) struct SparkSyntax;

impl ExprPlanner for SparkSyntax {
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type();
        for name in nested_names {
            match data_type {
                DataType::Struct(fields) => {
                    let found = field_named(fields, name)?;
                    expr = field_of(expr, found.name());
                    data_type = found.data_type();
                }
                _ => {
                    expr = field_of(expr, name);
                    data_type = &DataType::Null;
                }
            }
        }
        Ok(PlannerResult::Planned(expr))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let name = match &access.field_access {
            GetFieldAccess::NamedStructField { name } => name.try_as_str().flatten(),
            _ => None,
        };
        match (name, access.expr.get_type(schema)?) {
            (Some(name), DataType::Struct(fields)) => {
                let found = field_named(&fields, name)?.name();
                Ok(PlannerResult::Planned(field_of(access.expr, found)))
            }
            _ => Ok(PlannerResult::Original(access)),
        }
    }

    fn plan_make_map(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let map = Arc::new(ScalarUDF::from(SparkMap::new()));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(map, arguments))))
    }
}

fn field_of(value: Expr, name: &str) -> Expr {
    let name = Expr::Literal(ScalarValue::from(name), None);
    Expr::ScalarFunction(ScalarFunction::new_udf(get_field(), vec![value, name]))
}

fn field_named<'a>(fields: &'a Fields, name: &str) -> Result<&'a Field> {
    let mut named = fields.iter().filter(|field| field.name().eq_ignore_ascii_case(name));
    match (named.next(), named.count()) {
        (Some(field), 0) => Ok(field),
        (Some(_), others) => plan_err!(
            "[AMBIGUOUS_REFERENCE_TO_FIELDS] Ambiguous reference to the field `{name}`. It appears {} times in the schema. \
             SQLSTATE: 42000",
            others + 1
        ),
        (None, _) => {
            let names: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name())).collect();
            plan_err!(
                "[FIELD_NOT_FOUND] No such struct field `{name}` in {}. SQLSTATE: 42704",
                names.join(", ")
            )
        }
    }
}
