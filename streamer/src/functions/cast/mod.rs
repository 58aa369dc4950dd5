//! `CAST` and `TRY_CAST` where Arrow's own cast means something else than Spark's: texts, overflow, times.

mod error;
mod from_number;
mod from_text;
mod from_time;
mod nested;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

pub(super) use error::{date_not_parsed, malformed, out_of_range, timestamp_not_parsed};

use crate::datetime::zone::Zone;

/// What becomes of a value that the target cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OnError {
    /// ANSI mode.
    Fail,
    /// `TRY_CAST`.
    Null,
    /// Without ANSI mode: numbers wrap around, all else is null.
    Wrap,
}

#[derive(Debug)]
pub(super) struct SparkCast {
    signature: Signature,
    pub(super) target: DataType,
    on_error: OnError,
    time_zone: String,
    zone: Zone,
}

impl SparkCast {
    /// `time_zone` is the name of `zone`.
    pub(super) fn new(target: DataType, on_error: OnError, time_zone: &str, zone: Tz) -> SparkCast {
        SparkCast {
            signature: Signature::any(1, Volatility::Immutable),
            target,
            on_error,
            time_zone: time_zone.to_owned(),
            zone: Zone::new(zone),
        }
    }

    /// Whether Arrow's cast means something else.
    pub(super) fn differs_from_arrow(from: &DataType, target: &DataType) -> bool {
        use DataType::{Boolean, Date32, Decimal128, List, Map, Struct, Timestamp};
        if from == target {
            return false;
        }
        let is_number = |data_type: &DataType| data_type.is_integer() || data_type.is_floating();
        match (from, target) {
            (from, target) if from.is_string() => from_text::serves(target),
            (Decimal128(..), Decimal128(..)) | (Decimal128(..), Timestamp(..)) => true,
            (Decimal128(..), target) => target.is_integer(),
            (Timestamp(..), Date32 | Timestamp(..) | Decimal128(..)) => true,
            (Timestamp(..), target) => is_number(target),
            (Date32, Timestamp(..)) => true,
            (Boolean, target) => is_number(target) || matches!(target, Decimal128(..)),
            (from, Timestamp(..) | Decimal128(..)) => is_number(from),
            (List(from), List(target)) => Self::differs_from_arrow(from.data_type(), target.data_type()),
            (Map(from, _), Map(target, _)) => Self::differs_from_arrow(from.data_type(), target.data_type()),
            // Arrow goes by the names of fields, Spark by their order.
            (Struct(from), Struct(target)) => from.len() == target.len(),
            (from, target) if from.is_integer() && target.is_integer() => {
                from.primitive_width() > target.primitive_width()
            }
            (from, target) => from.is_floating() && target.is_integer(),
        }
    }
}

impl PartialEq for SparkCast {
    fn eq(&self, other: &SparkCast) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for SparkCast {}

impl Hash for SparkCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl SparkCast {
    fn identity(&self) -> (&DataType, OnError, &str) {
        (&self.target, self.on_error, &self.time_zone)
    }
}

impl ScalarUDFImpl for SparkCast {
    fn name(&self) -> &str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let context = Context { on_error: self.on_error, zone: self.zone };
        match arguments.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(context.cast(values, &self.target)?)),
            [ColumnarValue::Scalar(value)] => {
                let cast = context.cast(&value.to_array()?, &self.target)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?))
            }
            _ => internal_err!("a cast takes one argument"),
        }
    }
}

/// How values are cast.
#[derive(Clone, Copy, Debug)]
struct Context {
    on_error: OnError,
    zone: Zone,
}

impl Context {
    fn cast(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        let from = values.data_type();
        if !SparkCast::differs_from_arrow(from, target) {
            let options = CastOptions { safe: self.on_error != OnError::Fail, ..CastOptions::default() };
            return Ok(cast_with_options(values, target, &options)?);
        }
        match from {
            text if text.is_string() => self.text_to(values, target),
            DataType::Timestamp(..) | DataType::Date32 => self.time_to(values, target),
            DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => self.nested_to(values, target),
            _ => self.number_to(values, target),
        }
    }

    /// Casts each value; what `cast` cannot is an error or null.
    fn each<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
        self,
        values: &PrimitiveArray<F>,
        target: &DataType,
        cast: impl Fn(F::Native) -> Option<T::Native>,
        error: impl Fn(F::Native) -> DataFusionError,
    ) -> Result<ArrayRef> {
        let cast: PrimitiveArray<T> = match self.on_error {
            OnError::Fail => values.try_unary(|value| cast(value).ok_or_else(|| error(value)))?,
            OnError::Null | OnError::Wrap => values.unary_opt(cast),
        };
        Ok(Arc::new(cast.with_data_type(target.clone())))
    }
}
