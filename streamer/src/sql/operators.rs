//! Operators of Spark for which the planner knows other words.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, ExactNumberInfo, Expr, Ident, SetExpr, SetOperator,
    TimezoneInfo, UnaryOperator, Value, ValueWithSpan,
};

use super::ast;

/// Puts those in the place of an expression that is one.
pub(super) fn write_out(expr: &mut Expr) {
    if let Expr::UnaryOp { op: op @ UnaryOperator::BangNot, .. } = expr {
        *op = UnaryOperator::Not;
    }
    if let Expr::Struct { values, .. } = expr {
        name_fields(values);
    }
    // With its fraction.
    if let Expr::Extract { field: DateTimeField::Second, expr: time, .. } = expr {
        let time = ast::cast((**time).clone(), DataType::Timestamp(None, TimezoneInfo::None));
        let number = |number: &str| Expr::Value(Value::Number(number.to_owned(), false).into());
        let micros =
            ast::function("pmod", vec![ast::function("unix_micros", vec![time]), number("60000000")]);
        let micros = ast::cast(micros, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(14, 6)));
        let seconds = ast::binary(micros, BinaryOperator::Divide, number("1000000"));
        *expr = ast::cast(seconds, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(8, 6)));
    }
    if let Some(any) = tuple_in(expr) {
        *expr = any;
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

/// Spark has MINUS for EXCEPT, and DISTRIBUTE BY, which says where rows are computed and changes none.
pub(super) fn in_words_of_the_planner(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { op, left, right, .. } => {
            if *op == SetOperator::Minus {
                *op = SetOperator::Except;
            }
            in_words_of_the_planner(left);
            in_words_of_the_planner(right);
        }
        SetExpr::Select(select) => select.distribute_by.clear(),
        _ => {}
    }
}

/// `struct(a, b + 1, c AS d)`: where one field is given a name, the planner calls the others `c0` and so on.
fn name_fields(values: &mut [Expr]) {
    if !values.iter().any(|value| matches!(value, Expr::Named { .. })) {
        return;
    }
    for (place, value) in values.iter_mut().enumerate() {
        let name = match value {
            Expr::Named { .. } => continue,
            Expr::Identifier(name) => name.clone(),
            Expr::CompoundIdentifier(parts) if !parts.is_empty() => parts[parts.len() - 1].clone(),
            _ => Ident::with_quote('`', format!("col{}", place + 1)),
        };
        *value = Expr::Named { expr: Box::new(value.clone()), name };
    }
}

/// `(a, b) IN ((1, 'x'), …)` as `(a = 1 AND b = 'x') OR …`.
fn tuple_in(expr: &Expr) -> Option<Expr> {
    let Expr::InList { expr, list, negated } = expr else {
        return None;
    };
    let Expr::Tuple(columns) = expr.as_ref() else {
        return None;
    };
    let rows = list.iter().map(|row| {
        let Expr::Tuple(values) = row else {
            return None;
        };
        let pairs = columns.iter().zip(values);
        let equal =
            pairs.map(|(column, value)| ast::binary(column.clone(), BinaryOperator::Eq, value.clone()));
        let all = equal.reduce(|all, equal| ast::binary(all, BinaryOperator::And, equal));
        all.filter(|_| columns.len() == values.len()).map(|all| Expr::Nested(Box::new(all)))
    });
    let rows = rows.collect::<Option<Vec<_>>>()?;
    let any = rows.into_iter().reduce(|any, row| ast::binary(any, BinaryOperator::Or, row))?;
    let any = Expr::Nested(Box::new(any));
    Some(if *negated { ast::not(any) } else { any })
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
    let any = patterns.into_iter().map(one).reduce(|any, like| ast::binary(any, BinaryOperator::Or, like))?;
    let any = Expr::Nested(Box::new(any));
    Some(if negated { ast::not(any) } else { any })
}
