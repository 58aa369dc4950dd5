//! `schema_of_json('…')` as the schema of `from_json`, which is asked for its type before any call is computed: the
//! schema is written out.

use datafusion::sql::sqlparser::ast::{Expr, Function, Value, ValueWithSpan};

use super::ast::plain_call;
use crate::functions::json::schema_of_json;

/// The schema that a call gives; `None` for other calls, and for one that has something wrong with it.
pub(super) fn written_out(call: &Function) -> Option<Expr> {
    let (name, arguments) = plain_call(call)?;
    let [Expr::Value(text)] = arguments.as_slice() else {
        return None;
    };
    if name != "schema_of_json" {
        return None;
    }
    let Value::SingleQuotedString(json) = &text.value else {
        return None;
    };
    let value = Value::SingleQuotedString(schema_of_json(json).ok()?);
    Some(Expr::Value(ValueWithSpan { value, span: text.span }))
}
