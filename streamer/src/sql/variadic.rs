//! Functions of Spark that are short for others, and whose arguments are words, functions, or as many as one likes: they are
//! written out.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, Expr, Function, NullTreatment, TimezoneInfo, Value,
};

use super::ast::{self, plain_call};

const NAMES: &[&str] = &[
    "decode",
    "elt",
    "dateadd",
    "date_add",
    "first",
    "last",
    "any_value",
    "forall",
    "timestampadd",
    "timestampdiff",
];

/// Whether some calls of the function are short for something. The name is in lower case.
pub(super) fn is_one(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What the call is short for.
pub(super) fn written_out(call: &Function) -> Option<Expr> {
    let (name, arguments) = plain_call(call)?;
    match (name.as_str(), arguments.as_slice()) {
        ("decode", [value, results @ ..]) if results.len() > 1 => Some(decoded(value, results)),
        ("elt", [place, texts @ ..]) => {
            let texts = texts.iter().map(|text| (*text).clone()).collect();
            Some(ast::function("try_element_at", vec![ast::function("array", texts), (*place).clone()]))
        }
        ("dateadd" | "date_add" | "timestampadd", [Expr::Identifier(unit), count, time]) => {
            Some(added(&unit.value, count, time)?)
        }
        // All are what none is not.
        ("forall", [array, Expr::Lambda(function)]) => {
            let mut function = function.clone();
            *function.body = ast::not(Expr::Nested(function.body.clone()));
            Some(ast::not(ast::function("array_any_match", vec![(*array).clone(), Expr::Lambda(function)])))
        }
        ("first" | "last" | "any_value" | "first_value" | "last_value", [value, Expr::Value(ignores)])
            if matches!(ignores.value, Value::Boolean(_)) =>
        {
            let function = if name.starts_with("last") { "last_value" } else { "first_value" };
            let mut first = ast::function(function, vec![(*value).clone()]);
            if let Expr::Function(call) = &mut first
                && ignores.value == Value::Boolean(true)
            {
                call.null_treatment = Some(NullTreatment::IgnoreNulls);
            }
            Some(first)
        }
        ("timestampdiff" | "datediff" | "date_diff", [Expr::Identifier(unit), start, end]) => {
            difference(&unit.value, start, end)
        }
        ("dateadd", [date, days]) => Some(ast::function("date_add", vec![(*date).clone(), (*days).clone()])),
        _ => None,
    }
}

/// `decode(value, search, result, …, default)`, where null is found by null.
fn decoded(value: &Expr, results: &[&Expr]) -> Expr {
    let is = |search: &Expr| Expr::IsNotDistinctFrom(Box::new(value.clone()), Box::new(search.clone()));
    let (pairs, rest) = results.as_chunks::<2>();
    let conditions =
        pairs.iter().map(|[search, result]| CaseWhen { condition: is(search), result: (*result).clone() });
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: rest.first().map(|default| Box::new((*default).clone())),
    }
}

/// How many whole units of a fixed length lie between two times.
fn difference(unit: &str, start: &Expr, end: &Expr) -> Option<Expr> {
    let micros: u64 = match unit.to_lowercase().as_str() {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        _ => return None,
    };
    let of = |time: &Expr| ast::function("unix_micros", vec![ast::cast(time.clone(), timestamp())]);
    let between = Expr::Nested(Box::new(ast::binary(of(end), BinaryOperator::Minus, of(start))));
    let unit = Expr::Value(Value::Number(micros.to_string(), false).into());
    Some(Expr::Nested(Box::new(ast::binary(between, BinaryOperator::MyIntegerDivide, unit))))
}

fn timestamp() -> DataType {
    DataType::Timestamp(None, TimezoneInfo::None)
}

/// `time` and so many units more.
fn added(unit: &str, count: &Expr, time: &Expr) -> Option<Expr> {
    let whole = |times: u32| {
        let times = Expr::Value(Value::Number(times.to_string(), false).into());
        let count = Expr::Nested(Box::new(count.clone()));
        let count =
            Expr::BinaryOp { left: Box::new(count), op: BinaryOperator::Multiply, right: Box::new(times) };
        ast::cast(count, DataType::Int(None))
    };
    // Years, months, weeks, days, hours, minutes, seconds.
    let (place, times) = match unit.to_lowercase().as_str() {
        "year" => (0, 1),
        "quarter" => (1, 3),
        "month" => (1, 1),
        "week" => (2, 1),
        "day" | "dayofyear" => (3, 1),
        "hour" => (4, 1),
        "minute" => (5, 1),
        "second" => (6, 1),
        _ => return None,
    };
    let zero = || Expr::Value(Value::Number("0".to_owned(), false).into());
    let parts = (0..7).map(|part| if part == place { whole(times) } else { zero() });
    let interval = ast::function("make_interval", parts.collect());
    let time = ast::cast(time.clone(), timestamp());
    let sum = ast::binary(time, BinaryOperator::Plus, interval);
    Some(Expr::Nested(Box::new(sum)))
}
