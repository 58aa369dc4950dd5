//! Functions that make rows: `LATERAL VIEW [OUTER] explode(x) t AS c`, `, LATERAL explode(x) AS t(c)`,
//! `SELECT explode(x)`. `stack` and `json_tuple` are short for `inline`. Each becomes ``TABLE(`generate 0`((SELECT * FROM …), x))`` in the FROM clause, which
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
        let (function, is_outer, arguments) = named_generator(&name.value, unnamed(args)?)?;
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
                Some((function, outer, arguments)) if !all => {
                    let table = format!("{GENERATOR}{}", self.generators.len());
                    let columns = aliases.iter().map(lower).collect();
                    let generator = Generator { function, outer, table: table.clone(), columns };
                    let generated = self.generate(mem::take(&mut select.from), generator, arguments);
                    select.from.push(generated);
                    if aliases.is_empty() {
                        // How many there are, and what they are called, the type of the argument tells.
                        items.push(ast::all_of(&table));
                    }
                    items.extend(aliases.into_iter().map(|name| {
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
    named_generator(&name.value, unnamed(&list.args)?)
}

/// The generator of this name; `stack` and `json_tuple` have rows of structs instead.
fn named_generator(name: &str, arguments: Vec<Expr>) -> Option<(GeneratorFunction, bool, Vec<Expr>)> {
    let rows = match name.to_lowercase().as_str() {
        "stack" => stacked(&arguments)?,
        "json_tuple" => vec![tuple(&arguments)?],
        _ => {
            let (function, outer) = GeneratorFunction::named(name)?;
            return Some((function, outer, arguments));
        }
    };
    Some((GeneratorFunction::Inline, false, vec![ast::function("array", rows)]))
}

/// The rows of `stack(n, …)`, whose columns are `col0` and so on.
fn stacked(arguments: &[Expr]) -> Option<Vec<Expr>> {
    let (Expr::Value(count), values) = arguments.split_first()? else {
        return None;
    };
    let Value::Number(count, _) = &count.value else {
        return None;
    };
    let rows = count.parse::<usize>().ok().filter(|rows| *rows > 0)?;
    let width = values.len().div_ceil(rows).max(1);
    let row = |row: usize| {
        let value = |column: usize| {
            let value = values.get(row * width + column).cloned();
            value.unwrap_or_else(|| Expr::Value(Value::Null.into()))
        };
        named_struct((0..width).map(|column| (format!("col{column}"), value(column))))
    };
    Some((0..rows.min(values.len())).map(row).collect())
}

/// The row of `json_tuple(json, name, …)`, whose columns are `c0` and so on.
fn tuple(arguments: &[Expr]) -> Option<Expr> {
    let (json, names) = arguments.split_first()?;
    let text = |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).into());
    let field = |(place, name): (usize, &Expr)| {
        let path = ast::function("concat", vec![text("$['"), name.clone(), text("']")]);
        (format!("c{place}"), ast::function("get_json_object", vec![json.clone(), path]))
    };
    Some(named_struct(names.iter().enumerate().map(field)))
}

fn named_struct(fields: impl Iterator<Item = (String, Expr)>) -> Expr {
    let named = fields.flat_map(|(name, value)| [Expr::Value(Value::SingleQuotedString(name).into()), value]);
    ast::function("named_struct", named.collect())
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
