//! `a / b`: in Spark always a fraction, and an error where `b` is zero (ANSI mode).

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Array};
use datafusion::arrow::compute::kernels::numeric::div;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Divide {
    signature: Signature,
    /// Whether zero is an error as divisor; else the quotient is null.
    ansi: bool,
}

impl Divide {
    pub(super) fn new(ansi: bool) -> Divide {
        let arguments = vec![DataType::Float64, DataType::Float64];
        Divide { signature: Signature::exact(arguments, Volatility::Immutable), ansi }
    }

    /// Decimals have rules of their own.
    pub(super) fn serves(data_type: &DataType) -> bool {
        data_type.is_integer() || data_type.is_floating()
    }
}

impl ScalarUDFImpl for Divide {
    fn name(&self) -> &str {
        "divide"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [dividends, divisors] = values.as_slice() else {
            return datafusion::common::internal_err!("divide takes two arguments");
        };
        let divisors = divisors.as_primitive::<Float64Type>();
        if !self.ansi {
            let divisors: Float64Array = divisors.unary_opt(|divisor| (divisor != 0.0).then_some(divisor));
            return Ok(ColumnarValue::Array(Arc::new(div(dividends, &divisors)?)));
        }
        if divides_by_zero(dividends.as_ref(), divisors) {
            return exec_err!(
                "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL \
                 instead. If necessary set \"spark.sql.ansi.enabled\" to \"false\" to bypass this error. SQLSTATE: 22012"
            );
        }
        Ok(ColumnarValue::Array(Arc::new(div(dividends, divisors)?)))
    }
}

fn divides_by_zero(dividends: &dyn Array, divisors: &Float64Array) -> bool {
    let mut rows = (0..).zip(divisors);
    rows.any(|(row, divisor)| divisor == Some(0.0) && dividends.is_valid(row))
}
