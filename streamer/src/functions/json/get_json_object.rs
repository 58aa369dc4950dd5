//! `get_json_object(json, path)`: Spark's `GetJsonObject`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::path::JsonPath;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct GetJsonObject {
    signature: Signature,
}

impl GetJsonObject {
    pub(in crate::functions) fn new() -> GetJsonObject {
        let arguments = vec![DataType::Utf8, DataType::Utf8];
        GetJsonObject { signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for GetJsonObject {
    fn name(&self) -> &str {
        "get_json_object"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays =
            arguments.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let [json, paths] = arrays.as_slice() else {
            return datafusion::common::internal_err!("get_json_object takes two arguments");
        };
        let found = extract(json.as_string::<i32>(), paths.as_string::<i32>());
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn extract(json: &StringArray, paths: &StringArray) -> StringArray {
    let mut found = StringBuilder::with_capacity(json.len(), json.len() * 8);
    let mut text = String::new();
    // The path is nearly always one literal for all rows.
    let mut path: Option<(&str, Option<JsonPath>)> = None;
    for (json, path_text) in json.iter().zip(paths.iter()) {
        let (Some(json), Some(path_text)) = (json, path_text) else {
            found.append_null();
            continue;
        };
        if path.as_ref().is_none_or(|(text, _)| *text != path_text) {
            path = Some((path_text, JsonPath::parse(path_text)));
        }
        text.clear();
        let path = path.as_ref().and_then(|(_, path)| path.as_ref());
        match path.is_some_and(|path| path.evaluate(json, &mut text)) {
            true => found.append_value(&text),
            false => found.append_null(),
        }
    }
    found.finish()
}
