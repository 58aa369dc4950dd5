//! `+ - * %` of whole numbers as ANSI mode checks them, and `try_add` and its kin, which give null where there is no result.

use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::compute::try_binary;
use datafusion::arrow::datatypes::{ArrowNativeTypeOp, DataType, Int8Type, Int16Type, Int32Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, exec_datafusion_err, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::schema::sql_type;

const BYPASS: &str = "If necessary set \"spark.sql.ansi.enabled\" to \"false\" to bypass this error.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Remainder,
}

/// What becomes of a result that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NoResult {
    Error,
    Null,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Arithmetic {
    operation: Operation,
    no_result: NoResult,
    signature: Signature,
}

/// `try_add`, `try_subtract`, `try_multiply`.
pub(super) fn tried() -> impl Iterator<Item = ScalarUDF> {
    let operations = [Operation::Add, Operation::Subtract, Operation::Multiply];
    operations.into_iter().map(|operation| ScalarUDF::from(Arithmetic::new(operation, NoResult::Null)))
}

impl Operation {
    pub(super) fn of(operator: Operator) -> Option<Operation> {
        match operator {
            Operator::Plus => Some(Operation::Add),
            Operator::Minus => Some(Operation::Subtract),
            Operator::Multiply => Some(Operation::Multiply),
            Operator::Modulo => Some(Operation::Remainder),
            _ => None,
        }
    }

    /// The error of a divisor that is zero.
    pub(super) fn by_zero(self) -> DataFusionError {
        exec_datafusion_err!(
            "[REMAINDER_BY_ZERO] Remainder by zero. Use `{}` to tolerate divisor being 0 and return NULL instead. {BYPASS} \
             SQLSTATE: 22012",
            self.names().0
        )
    }

    /// The function that gives null instead of an error, and the symbol.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Operation::Add => ("try_add", "+"),
            Operation::Subtract => ("try_subtract", "-"),
            Operation::Multiply => ("try_multiply", "*"),
            Operation::Remainder => ("try_mod", "%"),
        }
    }

    #[inline]
    fn of_two<N: ArrowNativeTypeOp>(self, left: N, right: N) -> Option<N> {
        match self {
            Operation::Add => left.add_checked(right).ok(),
            Operation::Subtract => left.sub_checked(right).ok(),
            Operation::Multiply => left.mul_checked(right).ok(),
            Operation::Remainder if right.is_zero() => None,
            // The least number by -1, whose quotient alone overflows.
            Operation::Remainder => Some(left.mod_wrapping(right)),
        }
    }
}

impl Arithmetic {
    pub(super) fn new(operation: Operation, no_result: NoResult) -> Arithmetic {
        Arithmetic { operation, no_result, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Whether these are whole numbers with a sign, all that Spark has.
    pub(super) fn serves(data_type: &DataType) -> bool {
        data_type.is_signed_integer()
    }

    fn of<T: ArrowPrimitiveType>(&self, left: &ArrayRef, right: &ArrayRef, suffix: &str) -> Result<ArrayRef>
    where
        T::Native: Display,
    {
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let pairs = left.iter().zip(right);
        if self.no_result == NoResult::Null {
            let results = pairs.map(|pair| match pair {
                (Some(left), Some(right)) => self.operation.of_two(left, right),
                _ => None,
            });
            return Ok(Arc::new(results.collect::<PrimitiveArray<T>>()));
        }
        let results = try_binary::<_, _, _, T>(left, right, |left, right| {
            self.operation.of_two(left, right).ok_or_else(|| {
                let error = self.error::<T>(&format!("{left}{suffix}"), &format!("{right}{suffix}"));
                ArrowError::ExternalError(Box::new(error))
            })
        });
        match results {
            Ok(results) => Ok(Arc::new(results)),
            Err(ArrowError::ExternalError(error)) => match error.downcast() {
                Ok(error) => Err(*error),
                Err(error) => Err(DataFusionError::External(error)),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn error<T: ArrowPrimitiveType>(&self, left: &str, right: &str) -> DataFusionError {
        let (tried, symbol) = self.operation.names();
        let whole = match (self.operation, T::DATA_TYPE) {
            (Operation::Remainder, _) => return self.operation.by_zero(),
            (_, DataType::Int64) => "long",
            (_, DataType::Int32) => "integer",
            _ => {
                return exec_datafusion_err!(
                    "[BINARY_ARITHMETIC_OVERFLOW] {left} {symbol} {right} caused overflow. Use `{tried}` to tolerate \
                     overflow and return NULL instead. SQLSTATE: 22003"
                );
            }
        };
        exec_datafusion_err!(
            "[ARITHMETIC_OVERFLOW] {whole} overflow. Use '{tried}' to tolerate overflow and return NULL instead. {BYPASS} \
             SQLSTATE: 22003"
        )
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match (self.no_result, self.operation) {
            (NoResult::Null, operation) => operation.names().0,
            (NoResult::Error, Operation::Add) => "checked_add",
            (NoResult::Error, Operation::Subtract) => "checked_subtract",
            (NoResult::Error, Operation::Multiply) => "checked_multiply",
            (NoResult::Error, Operation::Remainder) => "checked_mod",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The wider of both.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let wider = match types {
            [left, right] if Self::serves(left) && Self::serves(right) => {
                Some(if left.primitive_width() >= right.primitive_width() { left } else { right })
            }
            [DataType::Null, other] | [other, DataType::Null] if Self::serves(other) => Some(other),
            _ => None,
        };
        match wider {
            Some(wider) => Ok(vec![wider.clone(); 2]),
            None => {
                let types: Vec<_> = types.iter().map(sql_type).collect();
                plan_err!(
                    "[DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE] Cannot resolve \"{}\" due to data type mismatch: it takes two \
                     whole numbers, not (\"{}\"). SQLSTATE: 42K09",
                    self.name(),
                    types.join("\", \"")
                )
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [wider, _] => Ok(wider.clone()),
            _ => internal_err!("{} takes two arguments", self.name()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [left, right] = values.as_slice() else {
            return internal_err!("{} takes two arguments", self.name());
        };
        Ok(ColumnarValue::Array(match left.data_type() {
            DataType::Int8 => self.of::<Int8Type>(left, right, "Y")?,
            DataType::Int16 => self.of::<Int16Type>(left, right, "S")?,
            DataType::Int32 => self.of::<Int32Type>(left, right, "")?,
            DataType::Int64 => self.of::<Int64Type>(left, right, "L")?,
            other => return internal_err!("{} of {other}", self.name()),
        }))
    }
}
