//! What stands in a SELECT list and DataFusion's planner does not know: `j.*` of a struct, whose fields are columns, and
//! columns that are made of others of the list, as in `SELECT a + 1 AS b, b * 2 AS c`, and `*` as arguments: `struct(*)`.
//!
//! Only the relations of the SELECT tell what a name is, so these are planned first.

mod aliases;
mod starred_calls;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement, VisitMut, VisitorMut, WildcardAdditionalOptions, With,
};

use super::ast;
use super::query::{OutputColumn, StreamingSelect};
use crate::kafka::schema::written_name;
use aliases::Aliases;
use starred_calls::StarredCalls;

/// How a query is planned.
pub(crate) type Plan<'a> = dyn Fn(Query) -> Result<LogicalPlan> + 'a;

/// Puts in their place what they stand for.
pub(crate) fn write_out(select: &mut StreamingSelect, plan: &Plan<'_>) -> Result<()> {
    let spellings = select.spellings.clone();
    let Statement::Query(query) = &mut select.statement else {
        return Ok(());
    };
    let mut lists =
        Lists { plan, scopes: Vec::new(), columns: &mut select.columns, fields: Vec::new(), spellings };
    if let ControlFlow::Break(error) = query.visit(&mut lists) {
        return Err(error);
    }
    for field in lists.fields {
        select.spell(&field);
    }
    Ok(())
}

struct Lists<'a> {
    plan: &'a Plan<'a>,
    /// What WITH names in the queries around, the outermost first.
    scopes: Vec<Vec<Cte>>,
    /// Of the whole result.
    columns: &'a mut Vec<OutputColumn>,
    /// The names that were put in.
    fields: Vec<String>,
    /// How names are written that are lowered in plans.
    spellings: BTreeMap<String, String>,
}

impl VisitorMut for Lists<'_> {
    type Break = DataFusionError;

    /// The queries of WITH come first, each of which knows those before it.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        self.scopes.push(Vec::new());
        let with = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        for table in with {
            table.query.visit(self)?;
            if let Some(scope) = self.scopes.last_mut() {
                scope.push(table.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        let is_result = self.scopes.len() == 1;
        let expanded = self.expand(&mut query.body, is_result);
        self.scopes.pop();
        match expanded {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Lists<'_> {
    /// `names_result`: the columns of this part are called as those of the result.
    fn expand(&mut self, body: &mut SetExpr, names_result: bool) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.expand_select(select, names_result),
            SetExpr::SetOperation { left, right, .. } => {
                self.expand(left, names_result)?;
                self.expand(right, false)
            }
            _ => Ok(()),
        }
    }

    fn expand_select(&mut self, select: &mut Select, names_result: bool) -> Result<()> {
        self.put_in_arguments(select)?;
        self.put_in_aliases(select)?;
        if !select.projection.iter().any(|item| qualifier(item).is_some()) {
            return Ok(());
        }
        let mut taken = self.names(select)?;
        let mut projection = Vec::with_capacity(select.projection.len());
        let mut columns = Vec::new();
        let written = if names_result { std::mem::take(self.columns) } else { Vec::new() };
        let mut written = written.into_iter();
        for item in &select.projection {
            let column = written.next();
            let fields = match qualifier(item) {
                Some(name) if !self.is_relation(select, name)? => Some((name, self.fields(select, name)?)),
                _ => None,
            };
            let Some((name, fields)) = fields else {
                projection.push(item.clone());
                columns.extend(column);
                continue;
            };
            for field in &fields {
                let lower = field.name().to_lowercase();
                let is_new = taken.insert(lower.clone());
                // Names are in lower case in plans, and each is there once.
                let planned = if is_new { lower } else { format!("column {}", projection.len()) };
                let alias = Ident::with_quote('`', planned);
                projection.push(SelectItem::ExprWithAlias { expr: field_of(name, field.name()), alias });
                columns.push(OutputColumn::Named(field.name().clone()));
                self.fields.push(field.name().clone());
            }
        }
        if names_result {
            *self.columns = columns;
        }
        select.projection = projection;
        Ok(())
    }

    /// `f(*)`: the columns are the arguments, and `named_struct` has their names as well.
    fn put_in_arguments(&self, select: &mut Select) -> Result<()> {
        let mut calls = StarredCalls { of: &|star| self.columns_of(select, star), queries: 0 };
        let mut projection = select.projection.clone();
        for item in &mut projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                && let ControlFlow::Break(error) = expr.visit(&mut calls)
            {
                return Err(error);
            }
        }
        select.projection = projection;
        Ok(())
    }

    /// The columns that `*` or `t.*` stands for, with their names as they are written.
    fn columns_of(&self, select: &Select, star: SelectItem) -> Result<Vec<(String, Expr)>> {
        let plan = self.plan(select, star)?;
        let columns = plan.schema().iter().map(|(relation, field)| {
            let written = self.spellings.get(field.name()).map_or(written_name(field.name()), String::as_str);
            let name = Ident::with_quote('`', field.name());
            let column = match relation {
                Some(table) => Expr::CompoundIdentifier(vec![Ident::with_quote('`', table.table()), name]),
                None => Expr::Identifier(name),
            };
            (written.to_owned(), column)
        });
        Ok(columns.collect())
    }

    /// Columns of the relations go before those of the list.
    fn put_in_aliases(&self, select: &mut Select) -> Result<()> {
        let mut aliases = Aliases::default();
        let mut projection = select.projection.clone();
        aliases.visit_all(&mut projection);
        if aliases.used.is_empty() {
            return Ok(());
        }
        let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let columns = if select.from.is_empty() { None } else { Some(self.plan(select, all)?) };
        let of_relations = |name: &String| {
            columns.as_ref().is_some_and(|plan| {
                plan.schema().iter().any(|(relation, field)| {
                    field.name() == name || relation.is_some_and(|relation| relation.table() == name)
                })
            })
        };
        aliases.used.retain(|name| !of_relations(name));
        (aliases.of, aliases.puts_in) = (Vec::new(), true);
        aliases.visit_all(&mut select.projection);
        Ok(())
    }

    fn is_relation(&self, select: &Select, name: &ObjectName) -> Result<bool> {
        let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let plan = self.plan(select, all)?;
        let table = name.0.last().map(ToString::to_string).unwrap_or_default();
        let table = table.trim_matches('`');
        Ok(plan.schema().iter().any(|(relation, _)| {
            relation.is_some_and(|relation| relation.table().eq_ignore_ascii_case(table))
        }))
    }

    /// Of the columns beside.
    fn names(&self, select: &Select) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => names.extend([alias.value.to_lowercase()]),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                    names.extend([name.value.to_lowercase()]);
                }
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                    names.extend(parts.last().map(|name| name.value.to_lowercase()));
                }
                SelectItem::UnnamedExpr(_) => {}
                other => {
                    let is_struct = match qualifier(other) {
                        Some(name) => !self.is_relation(select, name)?,
                        None => false,
                    };
                    if !is_struct {
                        let plan = self.plan(select, other.clone())?;
                        names.extend(plan.schema().fields().iter().map(|field| field.name().clone()));
                    }
                }
            }
        }
        Ok(names)
    }

    fn fields(&self, select: &Select, name: &ObjectName) -> Result<Fields> {
        let plan = self.plan(select, SelectItem::UnnamedExpr(column(name)))?;
        match plan.schema().fields().first().map(|field| field.data_type()) {
            Some(DataType::Struct(fields)) => Ok(fields.clone()),
            _ => Err(DataFusionError::Plan(format!(
                "[CANNOT_RESOLVE_STAR_EXPAND] Cannot resolve {name}.* given input columns: it is no relation and no struct. \
                 Please check that the specified table or struct exists and is accessible in the input columns. SQLSTATE: \
                 42704"
            ))),
        }
    }

    /// `item` over the relations of the SELECT.
    fn plan(&self, select: &Select, item: SelectItem) -> Result<LogicalPlan> {
        let of_from = Select {
            distinct: None,
            projection: vec![item],
            selection: None,
            group_by: ast::no_groups(),
            sort_by: Vec::new(),
            having: None,
            ..select.clone()
        };
        let mut query = ast::query(SetExpr::Select(Box::new(of_from)));
        let mut tables: Vec<Cte> = Vec::new();
        for table in self.scopes.iter().flatten() {
            tables.retain(|known| known.alias.name.value != table.alias.name.value);
            tables.push(table.clone());
        }
        if !tables.is_empty() {
            let with_token = datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty();
            query.with = Some(With { with_token, recursive: false, cte_tables: tables });
        }
        (self.plan)(query)
    }
}

/// What stands before `.*`.
fn qualifier(item: &SelectItem) -> Option<&ObjectName> {
    match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => Some(name),
        _ => None,
    }
}

fn parts(name: &ObjectName) -> Vec<Ident> {
    name.0.iter().filter_map(|part| part.as_ident().cloned()).collect()
}

fn column(name: &ObjectName) -> Expr {
    match parts(name).as_slice() {
        [column] => Expr::Identifier(column.clone()),
        parts => Expr::CompoundIdentifier(parts.to_vec()),
    }
}

fn field_of(name: &ObjectName, field: &str) -> Expr {
    let mut parts = parts(name);
    parts.push(Ident::with_quote('`', field));
    Expr::CompoundIdentifier(parts)
}
