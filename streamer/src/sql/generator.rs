//! Functions that make rows: `LATERAL VIEW [OUTER] explode(x) t AS c`, `, LATERAL explode(x) AS t(c)`,
//! `SELECT explode(x)`. Each becomes ``TABLE(`generate 0`((SELECT * FROM …), x))`` in the FROM clause, which
//! [`super::relation`] plans.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Join, JoinConstraint,
    JoinOperator, LateralView, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Value, VisitMut, VisitorMut,
};

use super::ast;

/// Of a function that is a generator, before its number.
pub(super) const GENERATOR: &str = "generate ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generator {
    pub(crate) function: GeneratorFunction,
    /// Whether a row without elements stays.
    pub(crate) outer: bool,
    /// What its columns are qualified by.
    pub(crate) table: String,
    /// Names for its columns; none: Spark's own.
    pub(crate) columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GeneratorFunction {
    Explode,
    PosExplode,
    Inline,
}

impl GeneratorFunction {
    /// With whether it is the function's outer form.
    fn named(name: &str) -> Option<(GeneratorFunction, bool)> {
        let lower = name.to_lowercase();
        let (inner, outer) = match lower.strip_suffix("_outer") {
            Some(inner) => (inner, true),
            None => (lower.as_str(), false),
        };
        let function = match inner {
            "explode" => GeneratorFunction::Explode,
            "posexplode" => GeneratorFunction::PosExplode,
            "inline" => GeneratorFunction::Inline,
            _ => return None,
        };
        Some((function, outer))
    }
}

/// Moves the generators of a query into its FROM clauses and returns them by their numbers.
pub(super) fn rewrite(query: &mut Query) -> Vec<Generator> {
    let mut rewriter = Rewriter::default();
    // The visitor never breaks.
    let _ = query.visit(&mut rewriter);
    rewriter.generators
}

#[derive(Default)]
struct Rewriter {
    generators: Vec<Generator>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.body(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    fn body(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            _ => {}
        }
    }

    fn select(&mut self, select: &mut Select) {
        self.lateral_relations(&mut select.from);
        for view in mem::take(&mut select.lateral_views) {
            self.lateral_view(select, view);
        }
        self.projection(select);
    }

    /// `FROM a, LATERAL explode(x) AS t(c)` and `a JOIN LATERAL explode(x) AS t(c)`
    fn lateral_relations(&mut self, from: &mut Vec<TableWithJoins>) {
        let mut done: Vec<TableWithJoins> = Vec::new();
        for relation in mem::take(from) {
            let TableWithJoins { relation, joins } = relation;
            let mut current = match self.generated(&mut done, &relation, false) {
                Some(generated) => generated,
                None => TableWithJoins { relation, joins: Vec::new() },
            };
            for join in joins {
                let outer = is_left_join_without_condition(&join);
                let mut before = vec![current];
                current = match self.generated(&mut before, &join.relation, outer) {
                    Some(generated) => generated,
                    None => {
                        let mut before = before.remove(0);
                        before.joins.push(join);
                        before
                    }
                };
            }
            done.push(current);
        }
        *from = done;
    }

    /// The relations so far with the generator that `relation` is, if it is one.
    fn generated(
        &mut self,
        before: &mut Vec<TableWithJoins>,
        relation: &TableFactor,
        outer: bool,
    ) -> Option<TableWithJoins> {
        let TableFactor::Function { lateral: true, name, args, alias, .. } = relation else {
            return None;
        };
        let Some(ObjectNamePart::Identifier(name)) = name.0.last() else {
            return None;
        };
        let (function, is_outer) = GeneratorFunction::named(&name.value)?;
        let arguments = unnamed(args)?;
        let (table, columns) = match alias {
            Some(TableAlias { name, columns, .. }) => {
                (lower(name), columns.iter().map(|column| lower(&column.name)).collect())
            }
            None => (name.value.to_lowercase(), Vec::new()),
        };
        let generator = Generator { function, outer: outer || is_outer, table, columns };
        Some(self.generate(mem::take(before), generator, arguments))
    }

    fn lateral_view(&mut self, select: &mut Select, view: LateralView) {
        let call = as_generator(&view.lateral_view);
        let Some((function, outer, arguments)) = call else {
            // The planner says what it is.
            select.lateral_views.push(view);
            return;
        };
        let table = match view.lateral_view_name.0.last() {
            Some(ObjectNamePart::Identifier(name)) => lower(name),
            _ => String::new(),
        };
        let columns = view.lateral_col_alias.iter().map(lower).collect();
        let generator = Generator { function, outer: outer || view.outer, table, columns };
        let generated = self.generate(mem::take(&mut select.from), generator, arguments);
        select.from.push(generated);
    }

    /// `SELECT explode(x) AS c`
    fn projection(&mut self, select: &mut Select) {
        if select.from.is_empty() {
            return;
        }
        let all = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
        let mut items = Vec::new();
        for item in mem::take(&mut select.projection) {
            let (expr, aliases) = match &item {
                SelectItem::UnnamedExpr(expr) => (expr, Vec::new()),
                SelectItem::ExprWithAlias { expr, alias } => (expr, vec![alias.clone()]),
                SelectItem::ExprWithAliases { expr, aliases } => (expr, aliases.clone()),
                _ => {
                    items.push(item);
                    continue;
                }
            };
            match as_generator(expr) {
                Some((GeneratorFunction::Explode, false, arguments)) if all => {
                    let alias = aliases.into_iter().next().unwrap_or_else(|| Ident::with_quote('`', "col"));
                    items.push(SelectItem::ExprWithAlias { expr: ast::function("unnest", arguments), alias });
                }
                Some((function, outer, arguments)) if !all && function != GeneratorFunction::Inline => {
                    let names = projected_names(function, &aliases);
                    let table = format!("{GENERATOR}{}", self.generators.len());
                    let columns = names.iter().map(lower).collect();
                    let generator = Generator { function, outer, table: table.clone(), columns };
                    let generated = self.generate(mem::take(&mut select.from), generator, arguments);
                    select.from.push(generated);
                    items.extend(names.into_iter().map(|name| {
                        let column = Ident::with_quote('`', lower(&name));
                        let expr = Expr::CompoundIdentifier(vec![Ident::with_quote('`', &table), column]);
                        SelectItem::ExprWithAlias { expr, alias: name }
                    }));
                }
                _ => items.push(item),
            }
        }
        select.projection = items;
    }

    fn generate(
        &mut self,
        from: Vec<TableWithJoins>,
        generator: Generator,
        arguments: Vec<Expr>,
    ) -> TableWithJoins {
        let name = format!("{GENERATOR}{}", self.generators.len());
        self.generators.push(generator);
        let arguments = [vec![ast::subquery(from)], arguments].concat();
        let expr = ast::function(&name, arguments);
        TableWithJoins { relation: TableFactor::TableFunction { expr, alias: None }, joins: Vec::new() }
    }
}

/// The names of a generator's columns in a SELECT list. A map has two, which are known by how they are called.
fn projected_names(function: GeneratorFunction, aliases: &[Ident]) -> Vec<Ident> {
    if !aliases.is_empty() {
        return aliases.to_vec();
    }
    let names: &[&str] = if function == GeneratorFunction::PosExplode { &["pos", "col"] } else { &["col"] };
    names.iter().map(|name| Ident::with_quote('`', *name)).collect()
}

fn lower(name: &Ident) -> String {
    name.value.to_lowercase()
}

fn as_generator(expr: &Expr) -> Option<(GeneratorFunction, bool, Vec<Expr>)> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
        return None;
    };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
        return None;
    };
    let (function, outer) = GeneratorFunction::named(&name.value)?;
    Some((function, outer, unnamed(&list.args)?))
}

fn unnamed(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    let exprs = arguments.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    exprs.collect()
}

fn is_left_join_without_condition(join: &Join) -> bool {
    match &join.join_operator {
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => match constraint {
            JoinConstraint::None => true,
            JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
            _ => false,
        },
        _ => false,
    }
}
