//! The name of a result column that has no alias: Spark's pretty form of its expression.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, UnaryOperator, Value,
};

/// `spelled` gives an identifier as the user wrote it.
pub(super) fn column_name(expr: &Expr, spelled: &dyn Fn(&Ident) -> String) -> String {
    match expr {
        // A cast of a column keeps the column's name.
        Expr::Cast { expr, .. } if column(expr).is_some() => column_name(expr, spelled),
        Expr::Nested(inner) => column_name(inner, spelled),
        _ => column(expr).map_or_else(|| Pretty { spelled }.expr(expr), spelled),
    }
}

fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

struct Pretty<'a> {
    spelled: &'a dyn Fn(&Ident) -> String,
}

impl Pretty<'_> {
    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Identifier(name) => (self.spelled)(name),
            Expr::CompoundIdentifier(parts) => {
                parts.last().map(|name| (self.spelled)(name)).unwrap_or_default()
            }
            Expr::Nested(inner) => self.expr(inner),
            Expr::Value(value) => literal(&value.value),
            Expr::Function(function) => self.function(function),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::Cast { kind, expr, data_type, .. } => {
                let cast = if *kind == CastKind::TryCast { "TRY_CAST" } else { "CAST" };
                format!("{cast}({} AS {})", self.expr(expr), data_type.to_string().to_uppercase())
            }
            _ => self.predicate(expr),
        }
    }

    fn predicate(&self, expr: &Expr) -> String {
        match expr {
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expr(inner)),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expr(inner)),
            Expr::InList { expr, list, negated } => {
                not(*negated, format!("({} IN ({}))", self.expr(expr), self.list(list)))
            }
            Expr::Between { expr, negated, low, high } => not(
                *negated,
                format!("between({}, {}, {})", self.expr(expr), self.expr(low), self.expr(high)),
            ),
            Expr::Like { negated, expr, pattern, .. } => {
                not(*negated, format!("{} LIKE {}", self.expr(expr), self.expr(pattern)))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let compared = |condition| match operand {
                    Some(operand) => format!("({} = {})", self.expr(operand), self.expr(condition)),
                    None => self.expr(condition),
                };
                let branches: String = conditions
                    .iter()
                    .map(|when| {
                        format!(" WHEN {} THEN {}", compared(&when.condition), self.expr(&when.result))
                    })
                    .collect();
                let otherwise = else_result
                    .as_ref()
                    .map(|result| format!(" ELSE {}", self.expr(result)))
                    .unwrap_or_default();
                format!("CASE{branches}{otherwise} END")
            }
            other => other.to_string(),
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> String {
        let (left, right) = (self.expr(left), self.expr(right));
        match op {
            BinaryOperator::NotEq => format!("(NOT ({left} = {right}))"),
            BinaryOperator::StringConcat => format!("concat({left}, {right})"),
            op => format!("({left} {op} {right})"),
        }
    }

    fn unary(&self, op: UnaryOperator, expr: &Expr) -> String {
        match (op, expr) {
            (UnaryOperator::Minus, Expr::Value(value)) => format!("-{}", literal(&value.value)),
            (UnaryOperator::Not | UnaryOperator::BangNot, _) => not(true, self.expr(expr)),
            (op, _) => format!("({op} {})", self.expr(expr)),
        }
    }

    fn function(&self, function: &Function) -> String {
        let name = function.name.to_string().replace('`', "").to_lowercase();
        let FunctionArguments::List(arguments) = &function.args else {
            return format!("{name}()");
        };
        let distinct = match arguments.duplicate_treatment {
            Some(DuplicateTreatment::Distinct) => "DISTINCT ",
            _ => "",
        };
        let rendered: Vec<_> = arguments.args.iter().map(|argument| self.argument(argument)).collect();
        let filter = function.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", self.expr(filter)));
        format!("{name}({distinct}{}){}", rendered.join(", "), filter.unwrap_or_default())
    }

    fn argument(&self, argument: &FunctionArg) -> String {
        let (FunctionArg::Unnamed(value)
        | FunctionArg::Named { arg: value, .. }
        | FunctionArg::ExprNamed { arg: value, .. }) = argument;
        match value {
            FunctionArgExpr::Expr(expr) => self.expr(expr),
            // Spark counts `count(*)` as `count(1)`.
            _ => "1".to_owned(),
        }
    }

    fn list(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>().join(", ")
    }
}

fn not(negated: bool, text: String) -> String {
    if negated { format!("(NOT {text})") } else { text }
}

fn literal(value: &Value) -> String {
    match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
        other => other.to_string(),
    }
}
