//! `j.field`, `array.field`, `array[0]`, `map(key, value)`, `a div b`, `'1' + 1`: syntax that DataFusion plans otherwise than Spark.
//!
//! Names of fields are not case-sensitive, and arrays count from 0.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_err};
use datafusion::functions::core::{get_field, named_struct};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, GetFieldAccess, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::divide::IntegralDivide;
use super::element_at;
use super::field_of_each::FieldOfEach;
use super::map::SparkMap;
use crate::schema::list_of;

/// Stands before DataFusion's own planners.
#[derive(Debug)]
pub(crate) struct SparkSyntax {
    /// Whether an index that an array does not have is an error.
    pub(crate) ansi: bool,
}

impl SparkSyntax {
    /// What a text beside a value of this type is taken for; `None` where DataFusion does that as well.
    fn beside(&self, other: &DataType, is_arithmetic: bool) -> Option<DataType> {
        match other {
            whole if whole.is_integer() && (self.ansi || !is_arithmetic) => Some(DataType::Int64),
            number if number.is_numeric() => Some(DataType::Float64),
            DataType::Boolean if !is_arithmetic => Some(DataType::Boolean),
            _ => None,
        }
    }
}

impl ExprPlanner for SparkSyntax {
    /// `a div b`, and texts beside numbers.
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{
            Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, MyIntegerDivide, NotEq, Plus, Spaceship,
        };
        let is_arithmetic = matches!(expr.op, Plus | Minus | Multiply | Divide | Modulo | MyIntegerDivide);
        if is_arithmetic || matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq | Spaceship) {
            let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
            if left == DataType::Utf8 {
                expr.left = as_type(expr.left, self.beside(&right, is_arithmetic));
            } else if right == DataType::Utf8 {
                expr.right = as_type(expr.right, self.beside(&left, is_arithmetic));
            }
        }
        if expr.op != MyIntegerDivide {
            return Ok(PlannerResult::Original(expr));
        }
        let function = Arc::new(ScalarUDF::from(IntegralDivide::new(self.ansi)));
        let call = ScalarFunction::new_udf(function, vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type().clone();
        for name in nested_names {
            (expr, data_type) = match (&data_type, structs_of(&data_type)) {
                (DataType::Struct(fields), _) => {
                    let found = field_named(fields, name)?;
                    (field_of(expr, found.name()), found.data_type().clone())
                }
                (_, Some(fields)) => {
                    let found = field_named(fields, name)?;
                    (field_of_each(expr, found.name()), list_of(found.data_type().clone(), true))
                }
                _ => (field_of(expr, name), DataType::Null),
            };
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
            GetFieldAccess::ListIndex { key }
                if matches!(access.expr.get_type(schema)?, DataType::List(_)) =>
            {
                let arguments = vec![access.expr, (**key).clone()];
                let subscript = ScalarFunction::new_udf(element_at::subscript(self.ansi), arguments);
                return Ok(PlannerResult::Planned(Expr::ScalarFunction(subscript)));
            }
            _ => None,
        };
        let data_type = access.expr.get_type(schema)?;
        match (name, &data_type, structs_of(&data_type)) {
            (Some(name), DataType::Struct(fields), _) => {
                let found = field_named(fields, name)?.name();
                Ok(PlannerResult::Planned(field_of(access.expr, found)))
            }
            (Some(name), _, Some(fields)) => {
                let found = field_named(fields, name)?.name();
                Ok(PlannerResult::Planned(field_of_each(access.expr, found)))
            }
            _ => Ok(PlannerResult::Original(access)),
        }
    }

    /// `struct(a, b)`, whose fields are called as its columns.
    fn plan_struct_literal(&self, values: Vec<Expr>, is_named: bool) -> Result<PlannerResult<Vec<Expr>>> {
        if is_named {
            return Ok(PlannerResult::Original(values));
        }
        let named = values.into_iter().enumerate().flat_map(|(place, value)| {
            let name = field_name(&value).unwrap_or_else(|| format!("col{}", place + 1));
            [Expr::Literal(ScalarValue::from(name), None), value]
        });
        let call = ScalarFunction::new_udf(named_struct(), named.collect());
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }

    fn plan_make_map(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let map = Arc::new(ScalarUDF::from(SparkMap::new()));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(map, arguments))))
    }
}

fn as_type(value: Expr, data_type: Option<DataType>) -> Expr {
    match data_type {
        Some(data_type) => Expr::Cast(Cast::new(Box::new(value), data_type)),
        None => value,
    }
}

/// What a value that has a name gives a field.
fn field_name(value: &Expr) -> Option<String> {
    match value {
        Expr::Column(column) => Some(column.name.clone()),
        Expr::Alias(alias) => Some(alias.name.clone()),
        Expr::ScalarFunction(call) if call.name() == "get_field" => match call.args.last() {
            Some(Expr::Literal(name, _)) => name.try_as_str().flatten().map(str::to_owned),
            _ => None,
        },
        _ => None,
    }
}

fn field_of(value: Expr, name: &str) -> Expr {
    let name = Expr::Literal(ScalarValue::from(name), None);
    Expr::ScalarFunction(ScalarFunction::new_udf(get_field(), vec![value, name]))
}

/// The fields of the structs in an array.
fn structs_of(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => Some(fields),
            _ => None,
        },
        _ => None,
    }
}

/// `array.field`: the field of each struct.
fn field_of_each(array: Expr, name: &str) -> Expr {
    let function = Arc::new(ScalarUDF::from(FieldOfEach::new(name)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![array]))
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
