//! Operators of Spark for which the planner knows other words.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, ExactNumberInfo, Expr, SetExpr, SetOperator, TimezoneInfo,
    UnaryOperator, Value, ValueWithSpan,
};

use super::ast;

/// Puts those in the place of an expression that is one.
pub(super) fn write_out(expr: &mut Expr) {
    if let Expr::UnaryOp { op: op @ UnaryOperator::BangNot, .. } = expr {
        *op = UnaryOperator::Not;
    }
    // With its fraction.
    if let Expr::Extract { field: DateTimeField::Second, expr: time, .. } = expr {
        let time = ast::cast((**time).clone(), DataType::Timestamp(None, TimezoneInfo::None));
        let number = |number: &str| Expr::Value(Value::Number(number.to_owned(), false).into());
        let micros =
            ast::function("pmod", vec![ast::function("unix_micros", vec![time]), number("60000000")]);
        let seconds = Expr::BinaryOp {
            left: Box::new(ast::cast(micros, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(14, 6)))),
            op: BinaryOperator::Divide,
            right: Box::new(number("1000000")),
        };
        *expr = ast::cast(seconds, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(8, 6)));
    }
    if let Some(any) = like_any(expr) {
        *expr = any;
    }
    // `5L`; the planner forgets the letter.
    if let Expr::Value(ValueWithSpan { value: Value::Number(_, true), .. }) = expr {
        *expr = ast::cast(expr.clone(), DataType::BigInt(None));
    }
    if let Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: inner } = expr {
        *expr = ast::function("bitwise_not", vec![(**inner).clone()]);
    }
    if let Expr::RLike { negated, expr: text, pattern, .. } = expr {
        let call = ast::function("regexp_like", vec![(**text).clone(), (**pattern).clone()]);
        *expr = if *negated { ast::not(call) } else { call };
    }
}

/// Spark has MINUS for EXCEPT.
pub(super) fn name_except(body: &mut SetExpr) {
    if let SetExpr::SetOperation { op, left, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        name_except(left);
        name_except(right);
    }
}

/// `s LIKE ANY ('a%', 'b%')` as `s LIKE 'a%' OR s LIKE 'b%'`.
fn like_any(expr: &Expr) -> Option<Expr> {
    let (Expr::Like { any: true, negated, pattern, .. } | Expr::ILike { any: true, negated, pattern, .. }) =
        expr
    else {
        return None;
    };
    let patterns = match pattern.as_ref() {
        Expr::Tuple(patterns) => patterns.clone(),
        Expr::Nested(pattern) => vec![(**pattern).clone()],
        _ => return None,
    };
    let negated = *negated;
    let one = |of: Expr| {
        let mut like = expr.clone();
        if let Expr::Like { any, negated, pattern, .. } | Expr::ILike { any, negated, pattern, .. } =
            &mut like
        {
            (*any, *negated, **pattern) = (false, false, of);
        }
        like
    };
    let any = patterns.into_iter().map(one).reduce(ast::or)?;
    let any = Expr::Nested(Box::new(any));
    Some(if negated { ast::not(any) } else { any })
}
