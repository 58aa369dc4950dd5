//! `a / b`: in Spark always a fraction, and an error where `b` is zero (ANSI mode). `a div b` is its whole part.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Array, Int64Array};
use datafusion::arrow::compute::kernels::numeric::div;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::error::DataFusionError;
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
            return Err(divided_by_zero());
        }
        Ok(ColumnarValue::Array(Arc::new(div(dividends, divisors)?)))
    }
}

/// `a div b`: the whole part of the quotient, a BIGINT.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IntegralDivide {
    signature: Signature,
    ansi: bool,
}

impl IntegralDivide {
    pub(super) fn new(ansi: bool) -> IntegralDivide {
        IntegralDivide { signature: Signature::user_defined(Volatility::Immutable), ansi }
    }

    fn quotient(&self, dividend: i128, divisor: i128) -> Result<Option<i64>> {
        let quotient = dividend.checked_div(divisor);
        match (quotient, self.ansi) {
            (None, true) => Err(divided_by_zero()),
            (None, false) => Ok(None),
            (Some(quotient), _) => match i64::try_from(quotient) {
                Ok(quotient) => Ok(Some(quotient)),
                Err(_) if self.ansi => exec_err!(
                    "[ARITHMETIC_OVERFLOW] Overflow in integral divide. Use 'try_divide' to tolerate overflow and return \
                     NULL instead. If necessary set \"spark.sql.ansi.enabled\" to \"false\" to bypass this error. SQLSTATE: \
                     22003"
                ),
                // It wraps around.
                Err(_) => Ok(Some(quotient as i64)),
            },
        }
    }
}

impl ScalarUDFImpl for IntegralDivide {
    fn name(&self) -> &str {
        "div"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Decimals of the larger scale.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let scale = types.iter().map(|data_type| match data_type {
            DataType::Decimal128(_, scale) => Some(*scale),
            whole if whole.is_integer() || whole.is_null() => Some(0),
            _ => None,
        });
        match scale.collect::<Option<Vec<_>>>().and_then(|scales| scales.into_iter().max()) {
            Some(scale) => Ok(vec![DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale); types.len()]),
            None => plan_err!(
                "[DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE] Cannot resolve \"div\" due to data type mismatch: it takes whole \
                 numbers and decimals. SQLSTATE: 42K09"
            ),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [dividends, divisors] = values.as_slice() else {
            return datafusion::common::internal_err!("div takes two arguments");
        };
        let dividends = dividends.as_primitive::<Decimal128Type>().iter();
        let pairs = dividends.zip(divisors.as_primitive::<Decimal128Type>());
        let quotients = pairs.map(|pair| match pair {
            (Some(dividend), Some(divisor)) => self.quotient(dividend, divisor),
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(quotients.collect::<Result<Int64Array>>()?)))
    }
}

pub(super) fn divided_by_zero() -> DataFusionError {
    exec_datafusion_err!(
        "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead. If \
         necessary set \"spark.sql.ansi.enabled\" to \"false\" to bypass this error. SQLSTATE: 22012"
    )
}

fn divides_by_zero(dividends: &dyn Array, divisors: &Float64Array) -> bool {
    let mut rows = (0..).zip(divisors);
    rows.any(|(row, divisor)| divisor == Some(0.0) && dividends.is_valid(row))
}
