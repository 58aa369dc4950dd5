//! What DataFusion and `datafusion-spark` lack of Spark's functions and casts.

mod arithmetic;
mod cast;
mod cast_to_string;
mod decimal_arithmetic;
mod decimals;
mod divide;
mod element_at;
mod field_of_each;
#[cfg(test)]
mod golden;
mod hash;
mod higher_order;

pub(crate) mod json;
mod map;
mod regexp;
mod spark_types;
pub(crate) mod syntax;
mod text_or_array;
mod time_text;
pub(crate) mod time_window;

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::functions_nested::concat::array_concat_udf;
use datafusion::functions_nested::reverse::array_reverse_udf;
use datafusion::logical_expr::{HigherOrderUDF, ScalarUDF};

use crate::malformed_records::MalformedRecords;
use text_or_array::TextOrArray;

/// Functions of DataFusion under names of Spark's that mean something else there, and that are not written anew here.
const NOT_SPARK_S: &[&str] = &["to_char", "regexp_replace"];

pub(crate) fn register(
    registry: &mut dyn FunctionRegistry,
    time_zone: &str,
    zone: Tz,
    ansi: bool,
    malformed: &Arc<MalformedRecords>,
) -> Result<()> {
    for name in NOT_SPARK_S {
        registry.deregister_udf(name)?;
    }
    let all = time_text::all(time_zone, zone, ansi).into_iter();
    for function in all.chain(regexp::all()).chain(element_at::all(ansi)).chain(arithmetic::tried()) {
        registry.register_udf(Arc::new(function))?;
    }
    registry.register_udf(Arc::new(ScalarUDF::from(json::GetJsonObject::new())))?;
    registry.register_udf(Arc::new(ScalarUDF::from(json::FromJson::new(time_zone, malformed.clone()))))?;
    registry.register_udf(Arc::new(ScalarUDF::from(json::ToJson::new(time_zone, zone))))?;
    registry.register_udf(Arc::new(ScalarUDF::from(json::SchemaOfJson::new())))?;
    registry.register_udf(Arc::new(ScalarUDF::from(map::SparkMap::new())))?;
    registry.register_udf(Arc::new(ScalarUDF::from(hash::SparkHash::new())))?;
    for (name, of_arrays) in [("concat", array_concat_udf()), ("reverse", array_reverse_udf())] {
        let both = TextOrArray::new(registry.udf(name)?, of_arrays);
        registry.register_udf(Arc::new(ScalarUDF::from(both)))?;
    }
    for function in higher_order::all() {
        registry.register_higher_order_function(Arc::new(HigherOrderUDF::new_from_impl(function)))?;
    }
    for function in time_window::all() {
        registry.register_udf(Arc::new(function))?;
    }
    let rewrite = spark_types::SparkTypes::new(time_zone, zone, ansi);
    registry.register_function_rewrite(Arc::new(rewrite))
}
