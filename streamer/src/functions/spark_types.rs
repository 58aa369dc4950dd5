//! Casts and clocks with Spark's types: text as Spark writes it, timestamps in microseconds of the session's zone.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF, TryCast};

use super::cast_to_string::CastToString;

#[derive(Debug)]
pub(super) struct SparkTypes {
    timestamp: DataType,
    cast_to_string: Arc<ScalarUDF>,
}

impl SparkTypes {
    pub(super) fn new(time_zone: &str, zone: Tz) -> SparkTypes {
        SparkTypes {
            timestamp: DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
            cast_to_string: Arc::new(ScalarUDF::from(CastToString::new(zone))),
        }
    }

    fn to_string(&self, inner: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.cast_to_string.clone(), vec![inner]))
    }
}

impl FunctionRewrite for SparkTypes {
    fn name(&self) -> &str {
        "spark_types"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
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
