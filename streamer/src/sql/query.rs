//! A query's text, parsed, and then resolved: its streams, tables and views found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Ident, Query, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::column_name;
use super::dialect::SparkDialect;
use super::error::{Position, SqlError};
use super::from_clause::{self, Watermark};
use super::relation::RelationOperator;
use super::resolve::Relation;
use super::tokens::{Spelling, Tokens, is_word, join_strings, name_exists, name_structs, unexpected};
use super::{field_access, generator, interval, number_literal, time_window};

/// A query as it was written. Which names mean what is another question: see [`QueryText::resolve`].
#[derive(Clone, Debug)]
pub struct QueryText {
    pub(super) query: Box<Query>,
    /// The columns of the result; where the list has a `*`, its place.
    pub(super) columns: Vec<OutputColumn>,
    /// Where the names of streams begin.
    pub(super) streams: BTreeSet<Location>,
    pub(super) watermarks: Vec<Watermark>,
    pub(super) generators: Vec<generator::Generator>,
    pub(super) spelling: Arc<Spelling>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputColumn {
    Named(String),
    Wildcard,
}

impl QueryText {
    pub(super) fn parse(tokens: &Tokens<'_>) -> Result<QueryText, SqlError> {
        let first = tokens.tokens.first();
        // The parser takes others for queries, too, such as INSERT.
        let is_query = |token: &Token| {
            *token == Token::LParen
                || ["select", "with", "from", "values", "table"].iter().any(|word| is_word(token, word))
        };
        if !first.is_some_and(|first| is_query(&first.token)) {
            return Err(unexpected(first, tokens.text));
        }
        let from = from_clause::rewrite(tokens)?;
        let (streams, watermarks) = (from.streams, from.watermarks);
        let written = name_structs(name_exists(join_strings(interval::plain(&from.tokens))));
        let tokens = tokens.with(number_literal::write_out(written));
        let mut parser = Parser::new(&SparkDialect).with_tokens_with_locations(tokens.tokens.clone());
        let mut query = parser.parse_query().map_err(|error| syntax_error(&error, &parser, &tokens))?;
        if parser.peek_token_ref().token != Token::EOF {
            let place = parser.peek_token_ref().span.start;
            return Err(unexpected(
                tokens.tokens.iter().find(|token| token.span.start == place),
                tokens.text,
            ));
        }
        let generators = generator::rewrite(&mut query);
        time_window::write_out(&mut query);
        field_access::write_out(&mut query);
        let spelling = tokens.spelling.clone();
        let columns = output_columns(&query.body, &spelling);
        tell_columns_apart(&mut query.body);
        Ok(QueryText { query, columns, streams, watermarks, generators, spelling })
    }
}

/// The names of the result's columns, whose planned names are `planned`: a `*` stands for those that the other columns
/// leave.
pub(super) fn column_names(columns: &[OutputColumn], planned: &[String]) -> Vec<String> {
    let named = columns.iter().filter(|column| **column != OutputColumn::Wildcard).count();
    let wildcards = columns.len() - named;
    let Some(per_wildcard) = planned.len().checked_sub(named).filter(|_| wildcards <= 1) else {
        return planned.to_vec();
    };
    let mut planned = planned.iter().cloned();
    let mut names = Vec::new();
    for column in columns {
        match column {
            OutputColumn::Named(name) => {
                planned.next();
                names.push(name.clone());
            }
            OutputColumn::Wildcard => names.extend(planned.by_ref().take(per_wildcard)),
        }
    }
    names
}

/// The parser tells the place of an error only in its message; where it tells none, the text has ended.
fn syntax_error(error: &ParserError, parser: &Parser<'_>, tokens: &Tokens<'_>) -> SqlError {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => {
            let place = parser.peek_token().span.start;
            return SqlError::Analysis {
                message: "the statement is nested too deeply".to_owned(),
                position: place.into(),
            };
        }
    };
    let place = location_in(message);
    unexpected(tokens.tokens.iter().find(|token| Some(token.span.start) == place), tokens.text)
}

/// Reads ` at Line: 3, Column: 8` off the end of a message.
fn location_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}

fn output_columns(body: &SetExpr, spelling: &Spelling) -> Vec<OutputColumn> {
    let spelled = |name: &_| spelling.of(name);
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => {
                    OutputColumn::Named(column_name::column_name(expr, &spelled))
                }
                SelectItem::ExprWithAlias { alias, .. } => OutputColumn::Named(spelling.of(alias)),
                _ => OutputColumn::Wildcard,
            })
            .collect(),
        SetExpr::Query(query) => output_columns(&query.body, spelling),
        SetExpr::SetOperation { left, .. } => output_columns(left, spelling),
        _ => vec![OutputColumn::Wildcard],
    }
}

/// Spark lets columns of one result have the same name; DataFusion does not. What they are called in the end is in
/// [`output_columns`], so that any other name serves here.
fn tell_columns_apart(body: &mut SetExpr) {
    let SetExpr::Select(select) = body else {
        return;
    };
    let texts: Vec<_> = select.projection.iter().map(ToString::to_string).collect();
    let has_wildcard = texts.iter().any(|text| text.ends_with('*'));
    for (place, item) in select.projection.iter_mut().enumerate() {
        let is_repeated = texts.iter().take(place).any(|text| *text == item.to_string());
        if let SelectItem::UnnamedExpr(expr) = item
            && (is_repeated || has_wildcard)
        {
            let alias = Ident::with_quote('`', format!("column {place}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// A SELECT whose streams have been found.
#[derive(Debug)]
pub struct StreamingSelect {
    /// Each stream and each table has a name of its own in it.
    pub statement: Statement,
    /// In the order in which they stand in the text, which is the order of the sources in the checkpoint.
    pub streams: Vec<Relation>,
    /// Tables that are no streams, and are read whole by each batch.
    pub tables: Vec<Relation>,
    pub columns: Vec<OutputColumn>,
    pub(crate) operators: Vec<RelationOperator>,
    /// Where each column name is used first, for errors that know only the name.
    pub(super) identifiers: Vec<(String, Position)>,
    /// How names are written that are lowered in plans.
    pub(super) spellings: BTreeMap<String, String>,
}
