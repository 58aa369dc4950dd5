//! `window` where a SELECT groups by `window(…)`: in Spark it is a column of that name, in DataFusion nothing.
//! So it is written out.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, GroupByExpr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, Subscript,
    Value, VisitMut, VisitorMut,
};

use crate::functions::time_window::{SESSION_WINDOW, WINDOW};

/// Puts the call of the window in the place of its name, in each SELECT of the query.
pub(super) fn write_out(query: &mut Query) {
    // The visitor never breaks.
    let _ = query.visit(&mut Selects);
}

struct Selects;

impl VisitorMut for Selects {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        write_out_in_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn write_out_in_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => write_out_in_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            write_out_in_body(left);
            write_out_in_body(right);
        }
        _ => {}
    }
}

fn write_out_in_select(select: &mut Select) {
    for name in [WINDOW, SESSION_WINDOW] {
        let Some(call) = called(select, name) else {
            continue;
        };
        let mut names = Names { name, call };
        for item in &mut select.projection {
            names.name_column(item);
        }
        if let Some(having) = &mut select.having {
            let _ = having.visit(&mut names);
        }
    }
}

/// The call of the window that the SELECT groups by, or else that it selects.
fn called(select: &Select, name: &str) -> Option<Expr> {
    let groups = match &select.group_by {
        GroupByExpr::Expressions(exprs, _) => exprs.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let selected = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    groups.iter().chain(selected).find(|expr| is_call(expr, name)).cloned()
}

fn is_call(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Function(function) => match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(called)] => called.value.eq_ignore_ascii_case(name),
            _ => false,
        },
        _ => false,
    }
}

struct Names {
    name: &'static str,
    call: Expr,
}

impl Names {
    /// A column that is a window, or a part of one, is called so.
    fn name_column(&mut self, item: &mut SelectItem) {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let column = match &*expr {
                    Expr::Identifier(column) if self.is_window(column) => Some(column.clone()),
                    Expr::CompoundIdentifier(parts)
                        if parts.first().is_some_and(|part| self.is_window(part)) =>
                    {
                        parts.last().cloned()
                    }
                    other => is_call(other, self.name).then(|| Ident::new(self.name)),
                };
                let _ = expr.visit(self);
                if let Some(column) = column {
                    let alias = Ident::with_quote('`', column.value.to_lowercase());
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
            SelectItem::ExprWithAlias { expr, .. } => drop(expr.visit(self)),
            _ => {}
        }
    }

    fn is_window(&self, name: &Ident) -> bool {
        name.value.eq_ignore_ascii_case(self.name)
    }

    fn part(&self, parts: &[Ident]) -> Expr {
        let access = parts.iter().map(|part| {
            let key = Expr::value(Value::SingleQuotedString(part.value.to_lowercase()));
            AccessExpr::Subscript(Subscript::Index { index: key })
        });
        Expr::CompoundFieldAccess { root: Box::new(self.call.clone()), access_chain: access.collect() }
    }
}

impl VisitorMut for Names {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) if self.is_window(name) => *expr = self.call.clone(),
            Expr::CompoundIdentifier(parts) => {
                if let [first, rest @ ..] = parts.as_slice()
                    && self.is_window(first)
                {
                    *expr = self.part(rest);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
