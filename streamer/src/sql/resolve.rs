//! What the names in a query mean.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement,
    TableAlias, TableAliasColumnDef, TableFactor, TimezoneInfo, VisitMut, VisitorMut,
};

use super::error::{Position, SqlError};
use super::from_clause::WATERMARK;
use super::generator::GENERATOR;
use super::query::{QueryText, StreamingSelect, column_names};
use super::relation::{OPERATOR, RelationOperator};
use super::{operators, schema_call, shorthand, variadic};

/// A stream or a table in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// As written.
    pub name: String,
    /// What it is called in the statement; two streams of one name are two tables.
    pub table: String,
    pub position: Position,
}

/// A view of the job.
#[derive(Debug)]
pub struct View {
    pub columns: Vec<String>,
    pub query: QueryText,
}

/// What is known beside the query's own text. Names come in lower case.
pub trait Names {
    fn is_function(&self, name: &str) -> bool;

    /// A table that can be read without STREAM.
    fn is_table(&self, name: &str) -> bool;

    fn view(&self, name: &str) -> Option<Arc<View>>;

    /// Rows that are planned already.
    fn plan(&self, _name: &str) -> Option<LogicalPlan> {
        None
    }
}

/// A view may read views; a view that reads itself must end somewhere.
const VIEW_DEPTH_MAX: usize = 64;

impl QueryText {
    /// Finds the relations and checks the names of functions and types.
    pub fn resolve(&self, names: &dyn Names) -> Result<StreamingSelect, SqlError> {
        let mut found = Found::default();
        let query = resolve(self, names, &mut found, 0)?;
        Ok(StreamingSelect {
            statement: Statement::Query(query),
            streams: found.streams,
            tables: found.tables,
            columns: self.columns.clone(),
            operators: found.operators,
            identifiers: found.identifiers,
            spellings: found.spellings,
        })
    }
}

impl StreamingSelect {
    /// Where a column of this name is used first; the start of the text if nowhere.
    pub fn position_of(&self, column: &str) -> Position {
        let found = self.identifiers.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map_or(Position { line: 1, column: 0 }, |(_, position)| *position)
    }

    /// A column that is called `written`; in plans it is called so in lower case.
    pub(crate) fn spell(&mut self, written: &str) {
        self.spellings.entry(written.to_lowercase()).or_insert_with(|| written.to_owned());
    }

    /// The names of the result's columns, whose planned names are `planned`.
    pub fn column_names(&self, planned: &[String]) -> Vec<String> {
        let written: Vec<_> =
            planned.iter().map(|name| self.spellings.get(name).unwrap_or(name).clone()).collect();
        column_names(&self.columns, &written)
    }
}

#[derive(Default)]
struct Found {
    streams: Vec<Relation>,
    tables: Vec<Relation>,
    operators: Vec<RelationOperator>,
    identifiers: Vec<(String, Position)>,
    spellings: BTreeMap<String, String>,
}

fn resolve(
    text: &QueryText,
    names: &dyn Names,
    found: &mut Found,
    depth: usize,
) -> Result<Box<Query>, SqlError> {
    let mut query = text.query.clone();
    let mut resolver = Resolver { text, names, found, depth, with: with_names(&mut query) };
    match query.visit(&mut resolver) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(query),
    }
}

/// The names that WITH gives anywhere in the query.
fn with_names(query: &mut Query) -> BTreeSet<String> {
    struct With(BTreeSet<String>);

    impl VisitorMut for With {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            let with = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(with.map(|view| view.alias.name.value.to_lowercase()));
            ControlFlow::Continue(())
        }
    }

    let mut with = With(BTreeSet::new());
    // The visitor never breaks.
    let _ = query.visit(&mut with);
    with.0
}

/// Gives each stream and table a name of its own, puts views in, and finds names that mean nothing.
struct Resolver<'a> {
    text: &'a QueryText,
    names: &'a dyn Names,
    found: &'a mut Found,
    depth: usize,
    with: BTreeSet<String>,
}

impl VisitorMut for Resolver<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        operators::in_words_of_the_planner(&mut query.body);
        self.remember_aliases(&query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<SqlError> {
        match self.relation(relation) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let (name, place) = match expr {
            Expr::Identifier(name) => (name.value.clone(), name.span.start),
            Expr::CompoundIdentifier(parts) => match (parts.first(), parts.last()) {
                (Some(first), Some(last)) => (last.value.clone(), first.span.start),
                _ => return ControlFlow::Continue(()),
            },
            Expr::Function(function) => return self.function(function),
            Expr::Cast { data_type, .. } => return spark_type(data_type),
            _ => return ControlFlow::Continue(()),
        };
        self.found.identifiers.push((name, place.into()));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        if let Expr::Function(call) = expr
            && let Some(meant) = schema_call::written_out(call)
                .or_else(|| variadic::written_out(call))
                .or_else(|| shorthand::written_out(call))
        {
            *expr = meant;
        }
        operators::write_out(expr);
        ControlFlow::Continue(())
    }
}

impl Resolver<'_> {
    fn relation(&mut self, relation: &mut TableFactor) -> Result<(), SqlError> {
        let TableFactor::Table { name, alias, sample, .. } = &mut *relation else {
            return Ok(());
        };
        if sample.is_some() {
            return Err(SqlError::Unpositioned(format!(
                "TABLESAMPLE, as {name} has it, is not served by Ottla"
            )));
        }
        let Some(ObjectNamePart::Identifier(written)) = name.0.last().cloned() else {
            return Err(SqlError::NotServed(format!("the table {name}")));
        };
        let lower = written.value.to_lowercase();
        let is_stream = self.text.streams.contains(&written.span.start);
        if name.0.len() == 1 && !is_stream && self.with.contains(&lower) {
            return Ok(());
        }
        if let Some(plan) = self.names.plan(&lower) {
            let expr = super::ast::function(&format!("{OPERATOR}{}", self.found.operators.len()), Vec::new());
            self.found.operators.push(RelationOperator::Plan(plan));
            *relation = TableFactor::TableFunction { expr, alias: alias.take() };
            return Ok(());
        }
        let alias = alias.take().unwrap_or_else(|| alias_for(&lower));
        if let Some(view) = self.names.view(&lower) {
            *relation = self.view(&view, alias, &written)?;
            return Ok(());
        }
        if !is_stream && !self.names.is_table(&lower) {
            let position = written.span.start.into();
            return Err(SqlError::TableNotFound { name: self.text.spelling.of(&written), position });
        }
        let found = if is_stream { &mut self.found.streams } else { &mut self.found.tables };
        let kind = if is_stream { "stream" } else { "table" };
        let table = format!("{kind} {}", found.len());
        *relation = super::ast::table(&table, alias);
        let name = self.text.spelling.of(&written);
        found.push(Relation { name, table, position: written.span.start.into() });
        Ok(())
    }

    /// The view's query in its place.
    fn view(&mut self, view: &View, mut alias: TableAlias, name: &Ident) -> Result<TableFactor, SqlError> {
        if self.depth >= VIEW_DEPTH_MAX {
            let message = format!(
                "[RECURSIVE_VIEW] Recursive view `{}` detected. SQLSTATE: 42K0H",
                self.text.spelling.of(name)
            );
            return Err(SqlError::Analysis { message, position: name.span.start.into() });
        }
        let subquery = resolve(&view.query, self.names, self.found, self.depth + 1)?;
        if alias.columns.is_empty() {
            for column in &view.columns {
                self.found.spellings.insert(column.to_lowercase(), column.clone());
                let name = Ident::with_quote('`', column.to_lowercase());
                alias.columns.push(TableAliasColumnDef { name, data_type: None });
            }
        }
        Ok(TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None })
    }

    fn function(&mut self, function: &mut Function) -> ControlFlow<SqlError> {
        let Some(ObjectNamePart::Identifier(written)) = function.name.0.last() else {
            return ControlFlow::Continue(());
        };
        let position = written.span.start.into();
        if let Some(operator) = self.operator(&written.value) {
            let name = format!("{OPERATOR}{}", self.found.operators.len());
            self.found.operators.push(operator);
            function.name = ObjectName::from(vec![Ident::with_quote('`', name)]);
            return ControlFlow::Continue(());
        }
        let name = written.value.to_lowercase();
        if self.names.is_function(&name) || shorthand::is_one(&name) || variadic::is_one(&name) {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(SqlError::UnresolvedRoutine { name: self.text.spelling.of(written), position })
    }

    /// What a function that stands for an operator stands for.
    fn operator(&self, function: &str) -> Option<RelationOperator> {
        let number = |kind: &str| function.strip_prefix(kind)?.parse::<usize>().ok();
        if let Some(number) = number(WATERMARK) {
            return self.text.watermarks.get(number).cloned().map(RelationOperator::Watermark);
        }
        self.text.generators.get(number(GENERATOR)?).cloned().map(RelationOperator::Generate)
    }

    /// A `*` over this SELECT gives its columns as they are spelled here.
    fn remember_aliases(&mut self, body: &SetExpr) {
        let SetExpr::Select(select) = body else {
            return;
        };
        let names = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last(),
            _ => None,
        });
        for name in names {
            let written = self.text.spelling.of(name);
            self.found.spellings.entry(written.to_lowercase()).or_insert(written);
        }
    }
}

/// Puts Spark's names of types into those of standard SQL.
fn spark_type(data_type: &mut DataType) -> ControlFlow<SqlError> {
    *data_type = match data_type {
        DataType::Binary(None) => DataType::Bytea,
        DataType::Custom(name, _) => match name.to_string().to_lowercase().as_str() {
            "byte" => DataType::TinyInt(None),
            "short" => DataType::SmallInt(None),
            "timestamp_ltz" => DataType::Timestamp(None, TimezoneInfo::None),
            _ => return unsupported_type(name),
        },
        _ => return ControlFlow::Continue(()),
    };
    ControlFlow::Continue(())
}

fn unsupported_type(name: &ObjectName) -> ControlFlow<SqlError> {
    let position = match name.0.first() {
        Some(ObjectNamePart::Identifier(name)) => name.span.start.into(),
        _ => Position { line: 1, column: 0 },
    };
    ControlFlow::Break(SqlError::UnsupportedDataType { name: name.to_string().to_uppercase(), position })
}

/// A stream answers to its topic's name.
fn alias_for(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::with_quote('`', name), columns: Vec::new(), at: None }
}
