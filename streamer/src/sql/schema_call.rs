//! `schema_of_json('…')` as the schema of `from_json`, which is asked for its type before any call is computed: the
//! schema is written out.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, ValueWithSpan,
};

use crate::functions::json::schema_of_json;

/// The schema that a call gives; `None` for other calls, and for one that has something wrong with it.
pub(super) fn written_out(call: &Function) -> Option<Expr> {
    if !call.name.to_string().trim_matches('`').eq_ignore_ascii_case("schema_of_json") {
        return None;
    }
    let FunctionArguments::List(arguments) = &call.args else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(text)))] = arguments.args.as_slice() else {
        return None;
    };
    let Value::SingleQuotedString(json) = &text.value else {
        return None;
    };
    let value = Value::SingleQuotedString(schema_of_json(json).ok()?);
    Some(Expr::Value(ValueWithSpan { value, span: text.span }))
}
