//! `f(x).field` and, in a lambda, `parameter.field`, for which the planner knows `f(x)['field']` alone.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Query, Value, VisitMut, VisitorMut};

use super::ast;

/// Puts the one in the place of the other.
pub(super) fn write_out(query: &mut Query) {
    // The visitor never breaks.
    let _ = query.visit(&mut Accesses::default());
}

#[derive(Default)]
struct Accesses {
    /// Of the lambdas around.
    parameters: Vec<Vec<String>>,
}

impl VisitorMut for Accesses {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.parameters.push(ast::parameters(lambda));
        }
        if let Expr::CompoundIdentifier(parts) = &*expr
            && let [parameter, fields @ ..] = parts.as_slice()
            && self.parameters.iter().flatten().any(|known| *known == parameter.value.to_lowercase())
        {
            *expr = ast::fields_of(Expr::Identifier(parameter.clone()), fields);
            return ControlFlow::Continue(());
        }
        let Expr::CompoundFieldAccess { root, access_chain } = expr else {
            return ControlFlow::Continue(());
        };
        // `a.b.c` may begin with the name of a table; behind anything else there are fields alone.
        let mut is_name = matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        for access in access_chain {
            match access {
                AccessExpr::Dot(Expr::Identifier(field)) if !is_name => {
                    let field = Value::SingleQuotedString(field.value.clone());
                    *access = AccessExpr::Dot(Expr::value(field));
                }
                AccessExpr::Dot(_) => {}
                AccessExpr::Subscript(_) => is_name = false,
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.parameters.pop();
        }
        ControlFlow::Continue(())
    }
}
