//! Columns of a SELECT list that are made of others of the list.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, VisitMut, VisitorMut};

use crate::sql::ast;

/// The aliases of a list, from left to right.
#[derive(Default)]
pub(super) struct Aliases {
    pub(super) of: Vec<(String, Expr)>,
    /// Those that other columns name.
    pub(super) used: BTreeSet<String>,
    /// Subqueries around, which have names of their own.
    queries: usize,
    /// The parameters of the lambdas around.
    parameters: Vec<Vec<String>>,
    /// Whether what is used is put in, or only found.
    pub(super) puts_in: bool,
}

impl Aliases {
    pub(super) fn visit_all(&mut self, projection: &mut [SelectItem]) {
        for item in projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                // The visitor never breaks.
                let _ = expr.visit(self);
            }
            if let SelectItem::ExprWithAlias { expr, alias } = item {
                self.of.push((alias.value.to_lowercase(), expr.clone()));
            }
        }
    }
}

impl VisitorMut for Aliases {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.parameters.push(ast::parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.parameters.pop();
        }
        let (name, fields) = match &*expr {
            Expr::Identifier(name) => (name, Vec::new()),
            Expr::CompoundIdentifier(parts) => match parts.split_first() {
                Some((name, fields)) => (name, fields.to_vec()),
                None => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        let name = name.value.to_lowercase();
        if self.queries > 0 || self.parameters.iter().flatten().any(|parameter| *parameter == name) {
            return ControlFlow::Continue(());
        }
        let meant = self.of.iter().rfind(|(alias, _)| *alias == name).map(|(_, meant)| meant.clone());
        match meant {
            Some(meant) if self.puts_in && self.used.contains(&name) => {
                *expr = ast::fields_of(Expr::Nested(Box::new(meant)), &fields);
            }
            Some(_) if !self.puts_in => drop(self.used.replace(name)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
