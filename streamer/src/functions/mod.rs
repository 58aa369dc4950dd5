//! What DataFusion and `datafusion-spark` lack of Spark's functions and casts.

mod cast_to_string;
mod divide;
mod get_json_object;
mod json_path;
mod json_scan;
mod spark_types;
pub(crate) mod time_window;

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;

/// Functions of DataFusion under names of Spark's that mean something else there, such as other date patterns.
const NOT_SPARK_S: &[&str] =
    &["date_format", "to_char", "to_date", "to_timestamp", "from_unixtime", "regexp_replace"];

pub(crate) fn register(registry: &mut dyn FunctionRegistry, time_zone: &str, zone: Tz) -> Result<()> {
    registry.register_udf(Arc::new(ScalarUDF::from(get_json_object::GetJsonObject::new())))?;
    for function in time_window::all() {
        registry.register_udf(Arc::new(function))?;
    }
    for name in NOT_SPARK_S {
        registry.deregister_udf(name)?;
    }
    let rewrite = spark_types::SparkTypes::new(time_zone, zone);
    registry.register_function_rewrite(Arc::new(rewrite))
}
