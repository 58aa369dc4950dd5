//! `f(*)`: calls that have all columns among their arguments.

use std::ops::ControlFlow;

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem,
    SelectItemQualifiedWildcardKind, Value, VisitorMut, WildcardAdditionalOptions,
};

use crate::sql::column_name;

/// Calls that have `*` among their arguments.
pub(super) struct StarredCalls<'a> {
    pub(super) of: &'a dyn Fn(SelectItem) -> Result<Vec<(String, Expr)>>,
    /// Subqueries around, which have columns of their own.
    pub(super) queries: usize,
}

impl StarredCalls<'_> {
    fn written_out(&self, call: &mut Function) -> Result<()> {
        let is_struct = call.name.to_string().trim_matches('`').eq_ignore_ascii_case("named_struct");
        let is_count = call.name.to_string().trim_matches('`').eq_ignore_ascii_case("count");
        let FunctionArguments::List(list) = &mut call.args else {
            return Ok(());
        };
        if is_count || !list.args.iter().any(|argument| star_of(argument).is_some()) {
            return Ok(());
        }
        let mut arguments = Vec::new();
        for argument in std::mem::take(&mut list.args) {
            let columns = match (star_of(&argument), &argument) {
                (Some(star), _) => (self.of)(star)?,
                (None, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) if is_struct => {
                    vec![(column_name::column_name(expr, &|name| name.value.clone()), expr.clone())]
                }
                _ => {
                    arguments.push(argument);
                    continue;
                }
            };
            for (name, column) in columns {
                let name = is_struct.then(|| Expr::value(Value::SingleQuotedString(name)));
                let exprs = name.into_iter().chain([column]);
                arguments.extend(exprs.map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))));
            }
        }
        list.args = arguments;
        Ok(())
    }
}

fn star_of(argument: &FunctionArg) -> Option<SelectItem> {
    let options = WildcardAdditionalOptions::default();
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Some(SelectItem::Wildcard(options)),
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) => {
            let kind = SelectItemQualifiedWildcardKind::ObjectName(name.clone());
            Some(SelectItem::QualifiedWildcard(kind, options))
        }
        _ => None,
    }
}

impl VisitorMut for StarredCalls<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<DataFusionError> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<DataFusionError> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        match expr {
            Expr::Function(call) if self.queries == 0 => match self.written_out(call) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}
