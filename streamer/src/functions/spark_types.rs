//! Casts, clocks and quotients with Spark's types: text as Spark writes it, timestamps in microseconds of the session's
//! zone, fractions.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, ScalarUDF, TryCast};

use super::arithmetic::{Arithmetic, NoResult, Operation};
use super::cast::{OnError, SparkCast};
use super::cast_to_string::CastToString;
use super::divide::Divide;
use super::json::{FromJson, ToJson};

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
    fn is_quotient(&self, expr: &BinaryExpr, schema: &DFSchema) -> Result<bool> {
        Ok(expr.op == Operator::Divide
            && Divide::serves(&expr.left.get_type(schema)?)
            && Divide::serves(&expr.right.get_type(schema)?))
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

    fn quotient(&self, BinaryExpr { left, right, .. }: BinaryExpr) -> Expr {
        let double = |side: Box<Expr>| Expr::Cast(Cast::new(side, DataType::Float64));
        let sides = vec![double(left), double(right)];
        Expr::ScalarFunction(ScalarFunction::new_udf(self.divide.clone(), sides))
    }

    /// `None` where the function is what is computed.
    fn function(&self, function: &ScalarFunction) -> Result<Option<Expr>> {
        let called = function.func.inner();
        if let Some(from_json) = called.downcast_ref::<FromJson>() {
            return from_json.planned(function.args.clone(), self.zone).map(Some);
        }
        match called.downcast_ref::<ToJson>() {
            Some(to_json) => to_json.planned(&function.args, self.zone),
            None => Ok(None),
        }
    }

    /// `None` where Arrow casts as Spark does.
    fn cast(&self, inner: &Expr, target: &DataType, is_try: bool, schema: &DFSchema) -> Result<Option<Expr>> {
        let from = inner.get_type(schema)?;
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

impl FunctionRewrite for SparkTypes {
    fn name(&self) -> &str {
        "spark_types"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let planned = match &expr {
            Expr::BinaryExpr(division) if self.is_quotient(division, schema)? => {
                Some(self.quotient(division.clone()))
            }
            Expr::BinaryExpr(expr) => self.checked(expr, schema)?,
            Expr::Cast(Cast { expr, field }) => self.cast(expr, field.data_type(), false, schema)?,
            Expr::TryCast(TryCast { expr, field }) => self.cast(expr, field.data_type(), true, schema)?,
            Expr::ScalarFunction(function) if function.name() == "now" => {
                Some(Expr::Cast(Cast::new(Box::new(expr.clone()), self.timestamp.clone())))
            }
            Expr::ScalarFunction(function) => self.function(function)?,
            _ => None,
        };
        Ok(planned.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}
