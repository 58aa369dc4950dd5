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

use super::cast_to_string::CastToString;
use super::divide::Divide;

#[derive(Debug)]
pub(super) struct SparkTypes {
    timestamp: DataType,
    cast_to_string: Arc<ScalarUDF>,
    divide: Arc<ScalarUDF>,
}

impl SparkTypes {
    pub(super) fn new(time_zone: &str, zone: Tz) -> SparkTypes {
        SparkTypes {
            timestamp: DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
            cast_to_string: Arc::new(ScalarUDF::from(CastToString::new(zone))),
            divide: Arc::new(ScalarUDF::from(Divide::new())),
        }
    }

    fn to_string(&self, inner: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.cast_to_string.clone(), vec![inner]))
    }
}

impl SparkTypes {
    fn quotient(&self, BinaryExpr { left, right, .. }: BinaryExpr) -> Expr {
        let double = |side: Box<Expr>| Expr::Cast(Cast::new(side, DataType::Float64));
        let sides = vec![double(left), double(right)];
        Expr::ScalarFunction(ScalarFunction::new_udf(self.divide.clone(), sides))
    }
}

impl FunctionRewrite for SparkTypes {
    fn name(&self) -> &str {
        "spark_types"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        if let Expr::BinaryExpr(division) = &expr
            && division.op == Operator::Divide
            && Divide::serves(&division.left.get_type(schema)?)
            && Divide::serves(&division.right.get_type(schema)?)
        {
            return Ok(Transformed::yes(self.quotient(division.clone())));
        }
        let (inner, target) = match &expr {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                (expr, field.data_type())
            }
            Expr::ScalarFunction(function) if function.name() == "now" => {
                let cast = Cast::new(Box::new(expr), self.timestamp.clone());
                return Ok(Transformed::yes(Expr::Cast(cast)));
            }
            _ => return Ok(Transformed::no(expr)),
        };
        if *target == DataType::Utf8 && CastToString::differs_from_arrow(&inner.get_type(schema)?) {
            return Ok(Transformed::yes(self.to_string(inner.as_ref().clone())));
        }
        // What DataFusion takes `TIMESTAMP` for.
        if *target != DataType::Timestamp(TimeUnit::Nanosecond, None) {
            return Ok(Transformed::no(expr));
        }
        let (inner, target) = (inner.clone(), self.timestamp.clone());
        Ok(Transformed::yes(match expr {
            Expr::TryCast(_) => Expr::TryCast(TryCast::new(inner, target)),
            _ => Expr::Cast(Cast::new(inner, target)),
        }))
    }
}
