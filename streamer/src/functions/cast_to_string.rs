//! `CAST(x AS STRING)` where Arrow's own cast writes something else than Spark.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::format::text::{Style, TextFormat};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CastToString {
    signature: Signature,
    time_zone: TimeZone,
}

/// Compared and hashed by its name, which [`Tz`] does not offer.
#[derive(Clone, Copy, Debug)]
struct TimeZone(Tz);

impl CastToString {
    pub(super) fn new(time_zone: Tz) -> CastToString {
        CastToString { signature: Signature::any(1, Volatility::Immutable), time_zone: TimeZone(time_zone) }
    }

    pub(super) fn differs_from_arrow(data_type: &DataType) -> bool {
        data_type.is_binary()
            || data_type.is_floating()
            || data_type.is_nested()
            || matches!(data_type, DataType::Timestamp(..) | DataType::Decimal128(..))
    }
}

impl ScalarUDFImpl for CastToString {
    fn name(&self) -> &str {
        "cast_to_string"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [values] = values.as_slice() else {
            return datafusion::common::internal_err!("cast_to_string takes one argument");
        };
        Ok(ColumnarValue::Array(Arc::new(to_text(values, self.time_zone.0)?)))
    }
}

fn to_text(values: &ArrayRef, time_zone: Tz) -> Result<StringArray> {
    if values.data_type().is_binary() {
        return Ok(bytes_to_text(cast(values, &DataType::Binary)?.as_binary()));
    }
    let format = TextFormat { style: Style::Cast, time_zone };
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        format.write(&mut text, values, row)?;
        texts.append_value(&text);
    }
    Ok(texts.finish())
}

/// The bytes themselves if all of them are UTF-8; else with U+FFFD where they are not, as Java decodes.
fn bytes_to_text(bytes: &BinaryArray) -> StringArray {
    let (offsets, values, nulls) = bytes.clone().into_parts();
    StringArray::try_new(offsets, values, nulls)
        .unwrap_or_else(|_| bytes.iter().map(|bytes| bytes.map(String::from_utf8_lossy)).collect())
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for TimeZone {}

impl std::hash::Hash for TimeZone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl TimeZone {
    fn name(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_get_a_replacement_character() {
        let bytes = BinaryArray::from_opt_vec(vec![Some("ü".as_bytes()), None, Some(b"a\xffb")]);
        let texts: Vec<_> = bytes_to_text(&bytes).iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(texts, [Some("ü".to_owned()), None, Some("a\u{fffd}b".to_owned())]);
    }
}
