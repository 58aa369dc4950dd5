//! Casts, clocks and quotients with Spark's types: text as Spark writes it, timestamps in microseconds of the session's
//! zone, fractions.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, ScalarUDF, TryCast, when};
use datafusion::scalar::ScalarValue;

use super::arithmetic::{Arithmetic, NoResult, Operation};
use super::cast::{OnError, SparkCast};
use super::cast_to_string::CastToString;
use super::decimal_arithmetic::{DecimalArithmetic, Size};
use super::decimals::{
    OF_DOUBLES, ONE_TYPE, average_of_decimals, double, is_decimal, with_doubles, without_mixed_decimals,
};
use super::divide::Divide;
use super::json::{FromJson, ToJson};
use crate::schema::{list_of, sql_type};

#[derive(Debug)]
pub(super) struct SparkTypes {
    timestamp: DataType,
    cast_to_string: Arc<ScalarUDF>,
    divide: Arc<ScalarUDF>,
    time_zone: String,
    zone: Tz,
    ansi: bool,
}

impl SparkTypes {
    pub(super) fn new(time_zone: &str, zone: Tz, ansi: bool) -> SparkTypes {
        SparkTypes {
            timestamp: DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
            cast_to_string: Arc::new(ScalarUDF::from(CastToString::new(zone))),
            divide: Arc::new(ScalarUDF::from(Divide::new(ansi))),
            time_zone: time_zone.to_owned(),
            zone,
            ansi,
        }
    }

    fn to_string(&self, inner: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.cast_to_string.clone(), vec![inner]))
    }
}

impl SparkTypes {
    /// `None` where DataFusion computes what Spark does.
    fn binary(&self, expr: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let with = |left: Expr, right: Expr| BinaryExpr::new(Box::new(left), expr.op, Box::new(right));
        let with_numbers = is_arithmetic(expr.op) || is_comparison(expr.op);
        let typed = match (&left, &right) {
            (decimal, float) if with_numbers && is_decimal(decimal) && float.is_floating() => {
                Some(with(double(&expr.left), (*expr.right).clone()))
            }
            (float, decimal) if with_numbers && is_decimal(decimal) && float.is_floating() => {
                Some(with((*expr.left).clone(), double(&expr.right)))
            }
            _ => None,
        };
        if let Some(typed) = typed {
            let computed = self.binary(&typed, schema)?;
            return Ok(Some(computed.unwrap_or(Expr::BinaryExpr(typed))));
        }
        if is_decimal(&left) || is_decimal(&right) {
            return Ok(self.decimal(expr, &left, &right));
        }
        if expr.op == Operator::StringConcat {
            let text = |side: &Expr, data_type: &DataType| match CastToString::differs_from_arrow(data_type) {
                true if *data_type != DataType::Utf8 && !data_type.is_nested() => {
                    self.to_string(side.clone())
                }
                _ => side.clone(),
            };
            let (left, right) = (text(&expr.left, &left), text(&expr.right, &right));
            let texts = BinaryExpr::new(Box::new(left), expr.op, Box::new(right));
            return Ok((texts != *expr).then_some(Expr::BinaryExpr(texts)));
        }
        if expr.op == Operator::Divide && Divide::serves(&left) && Divide::serves(&right) {
            return Ok(Some(self.quotient(expr)));
        }
        self.checked(expr, schema)
    }

    fn decimal(&self, expr: &BinaryExpr, left: &DataType, right: &DataType) -> Option<Expr> {
        let sizes = (Size::of(left, &expr.left)?, Size::of(right, &expr.right)?);
        let no_result = if self.ansi { NoResult::Error } else { NoResult::Null };
        let function = DecimalArithmetic::new(expr.op, sizes.0, sizes.1, no_result)?;
        let side = |side: &Expr, size: Size| Expr::Cast(Cast::new(Box::new(side.clone()), size.data_type()));
        let sides = vec![side(&expr.left, sizes.0), side(&expr.right, sizes.1)];
        let function = Arc::new(ScalarUDF::from(function));
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(function, sides)))
    }

    /// Whole numbers of whose sum, difference, product or remainder there may be none.
    fn checked(&self, expr: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
        let Some(operation) = Operation::of(expr.op) else {
            return Ok(None);
        };
        let no_result = match (self.ansi, operation) {
            (true, _) => NoResult::Error,
            (false, Operation::Remainder) => NoResult::Null,
            // They wrap around.
            (false, _) => return Ok(None),
        };
        let serves = |side: &Expr| side.get_type(schema).map(|data_type| Arithmetic::serves(&data_type));
        if !(serves(&expr.left)? && serves(&expr.right)?) {
            return Ok(None);
        }
        let function = Arc::new(ScalarUDF::from(Arithmetic::new(operation, no_result)));
        let sides = vec![(*expr.left).clone(), (*expr.right).clone()];
        Ok(Some(Expr::ScalarFunction(ScalarFunction::new_udf(function, sides))))
    }

    fn quotient(&self, expr: &BinaryExpr) -> Expr {
        let sides = vec![double(&expr.left), double(&expr.right)];
        Expr::ScalarFunction(ScalarFunction::new_udf(self.divide.clone(), sides))
    }

    /// `None` where the function is what is computed.
    fn function(&self, function: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
        if OF_DOUBLES.contains(&function.name()) {
            return with_doubles(function, schema);
        }
        match (function.name(), function.args.as_slice()) {
            // The least number has no positive one.
            ("abs", [number]) if self.ansi && Arithmetic::serves(&number.get_type(schema)?) => {
                let zero = Expr::Literal(ScalarValue::new_zero(&number.get_type(schema)?)?, None);
                let negated =
                    BinaryExpr::new(Box::new(zero.clone()), Operator::Minus, Box::new(number.clone()));
                let Some(negated) = self.checked(&negated, schema)? else {
                    return Ok(None);
                };
                let is_negative = number.clone().lt(zero);
                return when(is_negative, negated).otherwise(number.clone()).map(Some);
            }
            // Texts of values as Spark writes them.
            ("concat" | "concat_ws", values) => return self.with_texts(function, values, schema),
            ("round", [number, places @ ..]) => {
                if let Some(rounded) = self.rounded(number, places, schema)? {
                    return Ok(Some(rounded));
                }
            }
            ("generate_series", bounds) => {
                let types = bounds.iter().map(|bound| bound.get_type(schema)).collect::<Result<Vec<_>>>()?;
                if types.iter().all(|data_type| *data_type == DataType::Int32) {
                    let all = Box::new(Expr::ScalarFunction(function.clone()));
                    return Ok(Some(Expr::Cast(Cast::new(all, list_of(DataType::Int32, true)))));
                }
            }
            _ => {}
        }
        let called = function.func.inner();
        if let Some(from_json) = called.downcast_ref::<FromJson>() {
            return from_json.planned(function.args.clone(), self.zone).map(Some);
        }
        match called.downcast_ref::<ToJson>() {
            Some(to_json) => to_json.planned(&function.args, self.zone),
            None => Ok(None),
        }
    }

    fn with_texts(
        &self,
        function: &ScalarFunction,
        values: &[Expr],
        schema: &DFSchema,
    ) -> Result<Option<Expr>> {
        let mut args = Vec::with_capacity(values.len());
        let mut is_changed = false;
        for value in values {
            let data_type = value.get_type(schema)?;
            let is_other = data_type != DataType::Utf8 && CastToString::differs_from_arrow(&data_type);
            let is_single = !data_type.is_nested();
            is_changed |= is_other && is_single;
            args.push(if is_other && is_single { self.to_string(value.clone()) } else { value.clone() });
        }
        Ok(is_changed.then(|| Expr::ScalarFunction(ScalarFunction { args, func: function.func.clone() })))
    }

    /// A decimal with fewer digits behind the point: a cast rounds it as Spark does.
    fn rounded(&self, number: &Expr, places: &[Expr], schema: &DFSchema) -> Result<Option<Expr>> {
        let places = match places {
            [] => 0,
            [Expr::Literal(places, _)] => match places.cast_to(&DataType::Int32)? {
                ScalarValue::Int32(Some(places)) => places,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let DataType::Decimal128(precision, scale) = number.get_type(schema)? else {
            return Ok(None);
        };
        let Ok(places @ 0..) = i8::try_from(places) else {
            return Ok(None);
        };
        let places = places.min(scale);
        let whole = i16::from(precision) - i16::from(scale) + 1;
        let precision = u8::try_from(whole + i16::from(places)).unwrap_or(DECIMAL128_MAX_PRECISION);
        let target = DataType::Decimal128(precision.min(DECIMAL128_MAX_PRECISION), places);
        let cast = self.cast(number, &target, false, schema)?;
        Ok(Some(cast.unwrap_or_else(|| Expr::Cast(Cast::new(Box::new(number.clone()), target)))))
    }

    /// `None` where Arrow casts as Spark does.
    fn cast(&self, inner: &Expr, target: &DataType, is_try: bool, schema: &DFSchema) -> Result<Option<Expr>> {
        let from = inner.get_type(schema)?;
        if self.ansi {
            refuse_cast(&from, target)?;
        }
        if *target == DataType::Utf8 && CastToString::differs_from_arrow(&from) {
            return Ok(Some(self.to_string(inner.clone())));
        }
        // What DataFusion takes `TIMESTAMP` for.
        let target = match target {
            DataType::Timestamp(TimeUnit::Nanosecond, None) => &self.timestamp,
            other => other,
        };
        if !SparkCast::differs_from_arrow(&from, target) {
            return Ok(None);
        }
        let on_error = match (is_try, self.ansi) {
            (true, _) => OnError::Null,
            (false, true) => OnError::Fail,
            (false, false) => OnError::Wrap,
        };
        let cast = SparkCast::new(target.clone(), on_error, &self.time_zone, self.zone);
        let cast = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(cast)), vec![inner.clone()]);
        Ok(Some(Expr::ScalarFunction(cast)))
    }
}

/// What Spark does not cast in ANSI mode, and Arrow does.
fn refuse_cast(from: &DataType, target: &DataType) -> Result<()> {
    let is_number = |data_type: &DataType| data_type.is_numeric();
    let (class, hint) = match (from, target) {
        (DataType::Date32, target) if is_number(target) => ("CAST_WITH_FUNC_SUGGESTION", "use `UNIX_DATE`"),
        (from, DataType::Date32) if is_number(from) => {
            ("CAST_WITH_FUNC_SUGGESTION", "use `DATE_FROM_UNIX_DATE`")
        }
        (from, DataType::Binary) if from.is_numeric() => {
            ("CAST_WITH_CONF_SUGGESTION", "cast it to text first")
        }
        _ => return Ok(()),
    };
    plan_err!(
        "[DATATYPE_MISMATCH.{class}] Cannot resolve \"CAST\" due to data type mismatch: cannot cast \"{}\" to \"{}\"; {hint}. \
         SQLSTATE: 42K09",
        sql_type(from),
        sql_type(target)
    )
}

fn is_arithmetic(operator: Operator) -> bool {
    operator == Operator::Divide || Operation::of(operator).is_some()
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom | Lt | LtEq | NotEq)
}

impl FunctionRewrite for SparkTypes {
    fn name(&self) -> &str {
        "spark_types"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let planned = match &expr {
            Expr::BinaryExpr(expr) => self.binary(expr, schema)?,
            Expr::Between(_) | Expr::Case(_) | Expr::InList(_) => without_mixed_decimals(&expr, schema)?,
            Expr::Cast(Cast { expr, field }) => self.cast(expr, field.data_type(), false, schema)?,
            Expr::TryCast(TryCast { expr, field }) => self.cast(expr, field.data_type(), true, schema)?,
            Expr::AggregateFunction(aggregate) => average_of_decimals(aggregate, schema)?,
            Expr::ScalarFunction(function) if function.name() == "now" => {
                Some(Expr::Cast(Cast::new(Box::new(expr.clone()), self.timestamp.clone())))
            }
            Expr::ScalarFunction(function) if ONE_TYPE.contains(&function.name()) => {
                without_mixed_decimals(&expr, schema)?
            }
            Expr::ScalarFunction(function) => self.function(function, schema)?,
            _ => None,
        };
        Ok(planned.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}
