//! `+ - * / %` of decimals with Spark's precision and scale (`DecimalPrecision`), and its errors.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, i256};
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::arithmetic::{NoResult, Operation};
use super::cast::out_of_range;
use super::divide::divided_by_zero;
use crate::format::text::decimal as decimal_text;

/// What is kept of a scale when the whole digits need the rest.
const MIN_SCALE: i16 = 6;

/// Precision and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Size {
    precision: u8,
    scale: i8,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DecimalArithmetic {
    /// `None` divides.
    operation: Option<Operation>,
    left: Size,
    right: Size,
    result: Size,
    no_result: NoResult,
    signature: Signature,
}

impl Size {
    /// Of a decimal, or of a whole number as one; a literal is as short as it is written.
    pub(super) fn of(data_type: &DataType, expr: &Expr) -> Option<Size> {
        let whole = |precision| Some(Size { precision, scale: 0 });
        if let Expr::Literal(value, _) = expr
            && let Some(digits) = digits(value)
        {
            return whole(digits);
        }
        match data_type {
            DataType::Decimal128(precision, scale) => Some(Size { precision: *precision, scale: *scale }),
            DataType::Int8 => whole(3),
            DataType::Int16 => whole(5),
            DataType::Int32 => whole(10),
            DataType::Int64 => whole(20),
            _ => None,
        }
    }

    pub(super) fn data_type(self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn whole_digits(self) -> i16 {
        i16::from(self.precision) - i16::from(self.scale)
    }

    /// At most 38 digits: whole ones go before those of the fraction, of which some are kept.
    fn adjusted(precision: i16, scale: i16) -> Size {
        let max = i16::from(DECIMAL128_MAX_PRECISION);
        let (precision, scale) = if precision <= max {
            (precision, scale)
        } else {
            (max, (max - (precision - scale)).max(scale.min(MIN_SCALE)))
        };
        // Both are at most 38 now.
        Size { precision: precision as u8, scale: scale as i8 }
    }
}

fn digits(literal: &ScalarValue) -> Option<u8> {
    let number = match literal {
        ScalarValue::Int8(Some(number)) => i64::from(*number),
        ScalarValue::Int16(Some(number)) => i64::from(*number),
        ScalarValue::Int32(Some(number)) => i64::from(*number),
        ScalarValue::Int64(Some(number)) => *number,
        _ => return None,
    };
    u8::try_from(number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1).ok()
}

impl DecimalArithmetic {
    /// `None` for an operator of another kind.
    pub(super) fn new(
        operator: Operator,
        left: Size,
        right: Size,
        no_result: NoResult,
    ) -> Option<DecimalArithmetic> {
        let operation = match operator {
            Operator::Divide => None,
            other => Some(Operation::of(other)?),
        };
        let result = result(operation, left, right);
        let signature = Signature::exact(vec![left.data_type(), right.data_type()], Volatility::Immutable);
        Some(DecimalArithmetic { operation, left, right, result, no_result, signature })
    }

    /// The result of two numbers, rounded to its scale. `None` where it has too many digits.
    fn of_two(&self, left: i128, right: i128) -> Option<i256> {
        let (left, right) = (i256::from_i128(left), i256::from_i128(right));
        let (left_scale, right_scale) = (i32::from(self.left.scale), i32::from(self.right.scale));
        let scale = left_scale.max(right_scale);
        let aligned = || Some((times(left, scale - left_scale)?, times(right, scale - right_scale)?));
        match self.operation {
            Some(Operation::Multiply) => self.rounded(left.checked_mul(right)?, left_scale + right_scale),
            None => {
                let shift = i32::from(self.result.scale) + right_scale - left_scale;
                // Where the shift is negative the divisor has it.
                half_up(times(left, shift.max(0))?, times(right, (-shift).max(0))?)
            }
            Some(operation) => {
                let (left, right) = aligned()?;
                let exact = match operation {
                    Operation::Add => left.checked_add(right)?,
                    Operation::Subtract => left.checked_sub(right)?,
                    _ => left.checked_rem(right)?,
                };
                self.rounded(exact, scale)
            }
        }
    }

    fn rounded(&self, exact: i256, scale: i32) -> Option<i256> {
        half_up(exact, times(i256::ONE, scale - i32::from(self.result.scale))?)
    }

    fn fits(&self, value: i256) -> Option<i128> {
        let limit = 10_i128.checked_pow(u32::from(self.result.precision))?;
        value.to_i128().filter(|value| value.unsigned_abs() < limit.unsigned_abs())
    }

    fn error(&self, value: Option<i256>, divisor: i128) -> DataFusionError {
        match self.operation {
            None if divisor == 0 => divided_by_zero(),
            Some(operation @ Operation::Remainder) if divisor == 0 => operation.by_zero(),
            _ => {
                let value = value.and_then(i256::to_i128);
                let text =
                    value.map_or_else(|| "the result".to_owned(), |v| decimal_text(v, self.result.scale));
                out_of_range(&text, self.result.precision, self.result.scale)
            }
        }
    }
}

/// Spark's `DecimalPrecision` with `spark.sql.decimalOperations.allowPrecisionLoss`.
fn result(operation: Option<Operation>, left: Size, right: Size) -> Size {
    let (left_scale, right_scale) = (i16::from(left.scale), i16::from(right.scale));
    let (left_precision, right_precision) = (i16::from(left.precision), i16::from(right.precision));
    let scale = left_scale.max(right_scale);
    match operation {
        Some(Operation::Multiply) => {
            Size::adjusted(left_precision + right_precision + 1, left_scale + right_scale)
        }
        None => {
            let scale = (left_scale + right_precision + 1).max(MIN_SCALE);
            Size::adjusted(left.whole_digits() + right_scale + scale, scale)
        }
        Some(Operation::Remainder) => {
            Size::adjusted(left.whole_digits().min(right.whole_digits()) + scale, scale)
        }
        Some(Operation::Add | Operation::Subtract) => {
            Size::adjusted(left.whole_digits().max(right.whole_digits()) + scale + 1, scale)
        }
    }
}

fn times(value: i256, digits: i32) -> Option<i256> {
    let power = i256::from_i128(10).checked_pow(u32::try_from(digits).ok()?)?;
    value.checked_mul(power)
}

/// Java's `HALF_UP`. `None` if the divisor is zero.
fn half_up(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let rest = value.checked_rem(divisor)?;
    let is_half = rest.wrapping_abs() >= divisor.wrapping_abs().wrapping_sub(rest.wrapping_abs());
    if rest == i256::ZERO || !is_half {
        return Some(quotient);
    }
    let is_negative = value.is_negative() != divisor.is_negative();
    quotient.checked_add(if is_negative { i256::MINUS_ONE } else { i256::ONE })
}

impl ScalarUDFImpl for DecimalArithmetic {
    fn name(&self) -> &str {
        match self.operation {
            None => "decimal_divide",
            Some(Operation::Add) => "decimal_add",
            Some(Operation::Subtract) => "decimal_subtract",
            Some(Operation::Multiply) => "decimal_multiply",
            Some(Operation::Remainder) => "decimal_mod",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [left, right] = values.as_slice() else {
            return internal_err!("{} takes two arguments", self.name());
        };
        let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let mut results = Decimal128Array::builder(left.len());
        for pair in left.iter().zip(right) {
            let (Some(left), Some(right)) = pair else {
                results.append_null();
                continue;
            };
            let value = self.of_two(left, right);
            match (value.and_then(|value| self.fits(value)), self.no_result) {
                (Some(value), _) => results.append_value(value),
                (None, NoResult::Null) => results.append_null(),
                (None, NoResult::Error) => return Err(self.error(value, right)),
            }
        }
        let results = results.finish().with_data_type(self.result.data_type());
        Ok(ColumnarValue::Array(Arc::new(results)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(precision: u8, scale: i8) -> Size {
        Size { precision, scale }
    }

    /// Each as PySpark 4.1.1 tells the type.
    #[test]
    fn results_have_the_precision_and_scale_of_spark() {
        use Operator::{Divide, Minus, Modulo, Multiply, Plus};
        for (operator, left, right, expected) in [
            (Plus, size(10, 3), size(1, 0), size(11, 3)),
            (Minus, size(38, 10), size(38, 2), size(38, 6)),
            (Multiply, size(20, 10), size(20, 10), size(38, 17)),
            (Multiply, size(10, 2), size(5, 1), size(16, 3)),
            (Divide, size(10, 3), size(1, 0), size(13, 6)),
            (Divide, size(38, 18), size(38, 18), size(38, 6)),
            (Modulo, size(10, 3), size(5, 1), size(7, 3)),
        ] {
            let made = DecimalArithmetic::new(operator, left, right, NoResult::Error).unwrap();
            assert_eq!(made.result, expected, "{left:?} {operator} {right:?}");
        }
        assert!(DecimalArithmetic::new(Operator::Gt, size(1, 0), size(1, 0), NoResult::Null).is_none());
    }

    #[test]
    fn quotients_and_products_are_rounded_half_up() {
        let of = |operator, left: (i128, u8, i8), right: (i128, u8, i8)| {
            let sizes = (size(left.1, left.2), size(right.1, right.2));
            let made = DecimalArithmetic::new(operator, sizes.0, sizes.1, NoResult::Error).unwrap();
            made.of_two(left.0, right.0)
                .and_then(|value| made.fits(value))
                .map(|v| decimal_text(v, made.result.scale))
        };
        assert_eq!(of(Operator::Divide, (2, 1, 0), (3, 1, 0)).unwrap(), "0.666667");
        assert_eq!(of(Operator::Divide, (-1, 1, 0), (8, 1, 0)).unwrap(), "-0.125000");
        assert_eq!(of(Operator::Divide, (1, 1, 0), (0, 1, 0)), None);
        assert_eq!(of(Operator::Modulo, (-75, 2, 1), (2, 1, 0)).unwrap(), "-1.5");
        let max = 10_i128.pow(38) - 1;
        assert_eq!(of(Operator::Plus, (max, 38, 0), (1, 1, 0)), None);
    }
}
