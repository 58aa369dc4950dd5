//! What [`from_json`](super::from_json) computes: texts to values of one schema, which is read once.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::options::{JsonOptions, Mode};
use super::reader::Reader;
use crate::datetime::zone::Zone;
use crate::malformed_records::MalformedRecords;
use crate::schema::sql_type;

#[derive(Clone, Debug)]
pub(super) struct ParseJson {
    signature: Signature,
    schema: DataType,
    /// The options as they were given, by which two of these are told apart.
    given: Vec<(String, String)>,
    time_zone: String,
    options: JsonOptions,
    zone: Tz,
    malformed: Arc<MalformedRecords>,
}

impl ParseJson {
    /// `time_zone` is the name of `zone`.
    pub(super) fn new(
        schema: DataType,
        given: Vec<(String, String)>,
        time_zone: &str,
        zone: Tz,
        malformed: Arc<MalformedRecords>,
    ) -> Result<ParseJson> {
        let options = JsonOptions::new(&given, Zone::new(zone))?;
        if let DataType::Struct(fields) = &schema
            && let Some((_, corrupt)) = fields.find(&options.corrupt_record)
            && *corrupt.data_type() != DataType::Utf8
        {
            return plan_err!(
                "[INVALID_CORRUPT_RECORD_TYPE] The column `{}` for corrupt records must have the nullable STRING type, but \
                 got \"{}\". SQLSTATE: 42804",
                options.corrupt_record,
                sql_type(corrupt.data_type())
            );
        }
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        Ok(ParseJson { signature, schema, given, time_zone: time_zone.to_owned(), options, zone, malformed })
    }

    /// Reads no other fields than those that `is_used` knows. `None` where that changes nothing, or would change what
    /// the used ones hold.
    pub(super) fn narrowed(&self, is_used: impl Fn(&str) -> bool) -> Option<ParseJson> {
        let DataType::Struct(fields) = &self.schema else {
            return None;
        };
        // Whether a record fits depends on all fields.
        if self.options.mode == Mode::FailFast || is_used(&self.options.corrupt_record) {
            return None;
        }
        let used: Fields = fields.iter().filter(|field| is_used(field.name())).cloned().collect();
        let is_narrower = !used.is_empty() && used.len() < fields.len();
        is_narrower.then(|| ParseJson { schema: DataType::Struct(used), ..self.clone() })
    }

    fn identity(&self) -> (&DataType, &[(String, String)], &str) {
        (&self.schema, &self.given, &self.time_zone)
    }
}

impl PartialEq for ParseJson {
    fn eq(&self, other: &ParseJson) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for ParseJson {}

impl Hash for ParseJson {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for ParseJson {
    fn name(&self) -> &str {
        "from_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.schema.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [texts] = values.as_slice() else {
            return internal_err!("from_json parses one column");
        };
        let texts = texts.as_string::<i32>();
        let mut options = self.options.clone();
        // Only a time without a date asks for today.
        options.times.now_micros = chrono::Utc::now().timestamp_micros();
        let mut reader = Reader::new(&self.schema, options, self.zone)?;
        for text in texts {
            if !reader.push(text)?
                && let Some(text) = text
            {
                self.malformed.add(text);
            }
        }
        let parsed = reader.finish()?;
        debug_assert_eq!(parsed.len(), texts.len());
        Ok(ColumnarValue::Array(parsed))
    }
}
