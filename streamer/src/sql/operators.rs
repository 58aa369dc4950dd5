//! Operators of Spark for which the planner knows other words.

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, SetExpr, SetOperator, UnaryOperator, Value, ValueWithSpan,
};

use super::ast;

/// Puts those in the place of an expression that is one.
pub(super) fn write_out(expr: &mut Expr) {
    if let Expr::UnaryOp { op: op @ UnaryOperator::BangNot, .. } = expr {
        *op = UnaryOperator::Not;
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
