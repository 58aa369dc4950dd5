//! The SQL front: Spark's text to one SELECT over streams.

mod column_name;
mod error;
mod time_window;
mod tokens;
pub(crate) mod types;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement, TableAlias,
    TableFactor, TimezoneInfo, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::SparkSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

pub use error::{Near, Position, SqlError};

use tokens::Tokens;

/// A SELECT whose streams have been found.
#[derive(Debug)]
pub struct StreamingSelect {
    /// Each stream is a table under [`StreamRelation::table`].
    pub statement: Statement,
    /// In the order in which they stand in the text, which is the order of the sources in the checkpoint.
    pub streams: Vec<StreamRelation>,
    /// The columns of the result; where the list has a `*`, its place.
    pub columns: Vec<OutputColumn>,
    /// Where each column name is used first, for errors that know only the name.
    identifiers: Vec<(String, Position)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRelation {
    /// The topic, as written.
    pub topic: String,
    /// The name of the table in the statement; two streams of one topic are two tables.
    pub table: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputColumn {
    Named(String),
    Wildcard,
}

/// Reads a job: one SELECT, with or without a semicolon behind it. `is_function` knows the functions by name.
pub fn parse(text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<StreamingSelect, SqlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let dialect = SparkSqlDialect;
    let tokens = tokens::tokenize(&dialect, text)?;
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens.tokens.clone());
    let mut statements =
        parser.parse_statements().map_err(|error| syntax_error(&error, &parser, &tokens, text))?;
    let count = statements.len();
    let statement = statements.pop().filter(|_| count == 1).ok_or(SqlError::NotOneStatement(count))?;
    let Statement::Query(mut query) = statement else {
        return Err(SqlError::NotServed(first_words(&statement)));
    };
    time_window::write_out(&mut query);
    let columns = output_columns(&query.body, &|name| tokens.spelled(name));
    tell_columns_apart(&mut query.body);
    let mut resolver = Resolver {
        tokens: &tokens,
        is_function,
        streams: Vec::new(),
        identifiers: Vec::new(),
        views: view_names(&query),
    };
    if let ControlFlow::Break(error) = query.visit(&mut resolver) {
        return Err(error);
    }
    let Resolver { streams, identifiers, .. } = resolver;
    if streams.is_empty() {
        return Err(SqlError::NoStream);
    }
    Ok(StreamingSelect { statement: Statement::Query(query), streams, columns, identifiers })
}

impl StreamingSelect {
    /// Where a column of this name is used first; the start of the text if nowhere.
    pub fn position_of(&self, column: &str) -> Position {
        let found = self.identifiers.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map_or(Position { line: 1, column: 0 }, |(_, position)| *position)
    }

    /// The names of the result's columns, whose planned names are `planned`: a `*` stands for those that the
    /// other columns leave.
    pub fn column_names(&self, planned: &[String]) -> Vec<String> {
        let named = self.columns.iter().filter(|column| **column != OutputColumn::Wildcard).count();
        let wildcards = self.columns.len() - named;
        let Some(per_wildcard) = planned.len().checked_sub(named).filter(|_| wildcards <= 1) else {
            return planned.to_vec();
        };
        let mut planned = planned.iter().cloned();
        let mut names = Vec::new();
        for column in &self.columns {
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
}

impl Tokens {
    fn spelled(&self, name: &Ident) -> String {
        self.spelling.get(&name.span.start).unwrap_or(&name.value).clone()
    }
}

/// The parser tells the place of an error only in its message; where it tells none, the text has ended.
fn syntax_error(error: &ParserError, parser: &Parser<'_>, tokens: &Tokens, text: &str) -> SqlError {
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
    let token = tokens.tokens.iter().find(|token| Some(token.span.start) == place);
    tokens::unexpected(token.cloned().filter(|token| token.token != Token::EOF), text)
}

/// Reads ` at Line: 3, Column: 8` off the end of a message.
fn location_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}

fn first_words(statement: &Statement) -> String {
    statement.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn output_columns(body: &SetExpr, spelled: &dyn Fn(&Ident) -> String) -> Vec<OutputColumn> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => OutputColumn::Named(column_name::column_name(expr, spelled)),
                SelectItem::ExprWithAlias { alias, .. } => OutputColumn::Named(spelled(alias)),
                _ => OutputColumn::Wildcard,
            })
            .collect(),
        SetExpr::Query(query) => output_columns(&query.body, spelled),
        SetExpr::SetOperation { left, .. } => output_columns(left, spelled),
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

fn view_names(query: &Query) -> Vec<String> {
    let with = query.with.iter().flat_map(|with| &with.cte_tables);
    with.map(|view| view.alias.name.value.to_lowercase()).collect()
}

/// Gives each stream a table of its own, and finds names that mean nothing.
struct Resolver<'a> {
    tokens: &'a Tokens,
    is_function: &'a dyn Fn(&str) -> bool,
    streams: Vec<StreamRelation>,
    identifiers: Vec<(String, Position)>,
    views: Vec<String>,
}

impl VisitorMut for Resolver<'_> {
    type Break = SqlError;

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<SqlError> {
        let TableFactor::Table { name, alias, .. } = relation else {
            return ControlFlow::Continue(());
        };
        let [ObjectNamePart::Identifier(written)] = name.0.as_slice() else {
            return ControlFlow::Break(SqlError::NotServed(format!("the table {name}")));
        };
        if !self.tokens.streams.contains(&written.span.start) {
            return self.known_view(written);
        }
        let stream = StreamRelation {
            topic: self.tokens.spelled(written),
            table: format!("stream {}", self.streams.len()),
        };
        alias.get_or_insert_with(|| alias_for(written));
        *name = ObjectName::from(vec![Ident::with_quote('`', &stream.table)]);
        self.streams.push(stream);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let (name, place) = match expr {
            Expr::Identifier(name) => (name.value.clone(), name.span.start),
            Expr::CompoundIdentifier(parts) => match (parts.first(), parts.last()) {
                (Some(first), Some(last)) => (last.value.clone(), first.span.start),
                _ => return ControlFlow::Continue(()),
            },
            Expr::Function(function) => return self.known_function(&function.name),
            Expr::Cast { data_type, .. } => return spark_type(data_type),
            _ => return ControlFlow::Continue(()),
        };
        self.identifiers.push((name, place.into()));
        ControlFlow::Continue(())
    }
}

impl Resolver<'_> {
    fn known_view(&self, name: &Ident) -> ControlFlow<SqlError> {
        if self.views.contains(&name.value.to_lowercase()) {
            return ControlFlow::Continue(());
        }
        let position = name.span.start.into();
        ControlFlow::Break(SqlError::TableNotFound { name: self.tokens.spelled(name), position })
    }

    fn known_function(&self, name: &ObjectName) -> ControlFlow<SqlError> {
        let Some(ObjectNamePart::Identifier(written)) = name.0.last() else {
            return ControlFlow::Continue(());
        };
        if (self.is_function)(&written.value.to_lowercase()) {
            return ControlFlow::Continue(());
        }
        let position = written.span.start.into();
        ControlFlow::Break(SqlError::UnresolvedRoutine { name: self.tokens.spelled(written), position })
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
fn alias_for(name: &Ident) -> TableAlias {
    let name = Ident::with_quote('`', name.value.to_lowercase());
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(text: &str) -> StreamingSelect {
        parse(text, &|_| true).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(text: &str) -> SqlError {
        let known = |name: &str| ["count", "sum", "upper"].contains(&name);
        parse(text, &known).expect_err(text)
    }

    fn topics(text: &str) -> Vec<String> {
        select(text).streams.into_iter().map(|stream| stream.topic).collect()
    }

    #[test]
    fn streams_are_found_in_every_place() {
        assert_eq!(topics("SELECT CAST(value AS STRING) AS message FROM STREAM `my-topic`"), ["my-topic"]);
        assert_eq!(topics("select * from stream(My_Topic);"), ["My_Topic"]);
        assert_eq!(topics("SELECT * FROM STREAM a AS x WHERE x.key IS NULL"), ["a"]);
        assert_eq!(topics("SELECT value FROM STREAM a UNION ALL SELECT value FROM STREAM(`a`)"), ["a", "a"]);
        assert_eq!(topics("WITH v AS (SELECT * FROM STREAM t) SELECT * FROM v"), ["t"]);
        assert_eq!(topics("SELECT * FROM STREAM stream"), ["stream"]);
    }

    #[test]
    fn comments_line_endings_and_semicolons_are_fine() {
        let text = "\u{feff}-- my job\r\nSELECT value /* bytes */\r\nFROM STREAM t -- all\r\n;\r\n";
        assert_eq!(topics(text), ["t"]);
    }

    #[test]
    fn columns_are_named_as_spark_names_them() {
        let text = "SELECT count(*), sum(id), CAST(value AS STRING), CAST(CAST(value AS STRING) AS INT), id + 1 * 2, \
             get_json_object(CAST(`Value` AS STRING), '$.x'), -id, id > 1 AND id < 3, 'lit', 1.5, NULL, id IS NULL, \
             id IN (1,2), id BETWEEN 1 AND 2, CASE WHEN id = 1 THEN 'a' ELSE 'b' END, Id, t.ID, NOT id = 1, \
             'a' || 'b', count(DISTINCT id), id <> 1, id LIKE 'a', UPPER(x) AS `Größe` FROM STREAM t GROUP BY id";
        let names: Vec<_> = select(text).columns;
        let expected = [
            "count(1)",
            "sum(id)",
            "value",
            "CAST(CAST(value AS STRING) AS INT)",
            "(id + (1 * 2))",
            "get_json_object(CAST(Value AS STRING), $.x)",
            "(- id)",
            "((id > 1) AND (id < 3))",
            "lit",
            "1.5",
            "NULL",
            "(id IS NULL)",
            "(id IN (1, 2))",
            "between(id, 1, 2)",
            "CASE WHEN (id = 1) THEN a ELSE b END",
            "Id",
            "ID",
            "(NOT (id = 1))",
            "concat(a, b)",
            "count(DISTINCT id)",
            "(NOT (id = 1))",
            "id LIKE a",
            "Größe",
        ];
        assert_eq!(names, expected.map(|name| OutputColumn::Named(name.to_owned())));
    }

    #[test]
    fn a_wildcard_takes_the_columns_that_are_left() {
        let planned = ["c0", "key", "value", "c3"].map(str::to_owned);
        let select = select("SELECT 1, *, Offset AS `At` FROM STREAM t");
        assert_eq!(select.column_names(&planned), ["1", "key", "value", "At"]);
    }

    // The places below are those that Spark 4.1.1 gives.

    #[test]
    fn syntax_errors_point_to_line_and_column() {
        for (text, near, line, column) in [
            ("SELECT\n  value\nFORM STREAM t1", "'STREAM'", 3, 5),
            ("SELECT value, count(*) FROM STREAM t1 GROUP BY value +", "end of input", 1, 54),
            ("SELECT value,, key FROM STREAM t1", "','", 1, 13),
            ("SELECT 'abc", "'''", 1, 7),
            ("SELECT\n  value AS message,\n  key\n FROM STREAM t1 WHERE", "end of input", 4, 21),
        ] {
            let error = error(text).to_string();
            let start = format!(
                "[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 (line {line}, pos {column})\n\n== SQL ==\n"
            );
            assert!(error.starts_with(&start), "{error}");
            assert!(error.contains(&format!("\n{}^^^\n", "-".repeat(column))), "{error}");
        }
    }

    #[test]
    fn unknown_names_point_to_their_place() {
        let position = Position { line: 2, column: 7 };
        assert_eq!(
            error("SELECT upper(key),\n       nofunc(value) FROM STREAM t"),
            SqlError::UnresolvedRoutine { name: "nofunc".to_owned(), position }
        );
        let position = Position { line: 1, column: 14 };
        assert_eq!(
            error("SELECT * FROM `No-Pe`"),
            SqlError::TableNotFound { name: "No-Pe".to_owned(), position }
        );
    }

    #[test]
    fn topics_with_dashes_and_dots_want_backticks() {
        for (text, name, column) in [
            ("SELECT * FROM STREAM my-topic WHERE 1 = 1", "my-topic", 21),
            ("SELECT * FROM STREAM(my.topic)", "my.topic", 21),
        ] {
            let position = Position { line: 1, column };
            assert_eq!(error(text), SqlError::InvalidIdentifier { name: name.to_owned(), position });
        }
        assert_eq!(
            topics("SELECT * FROM STREAM `my.topic` UNION ALL SELECT * FROM STREAM t"),
            ["my.topic", "t"]
        );
    }

    #[test]
    fn unknown_types_are_named() {
        let position = Position { line: 1, column: 21 };
        assert_eq!(
            error("SELECT CAST(value AS strng) FROM STREAM t1"),
            SqlError::UnsupportedDataType { name: "STRNG".to_owned(), position }
        );
    }

    #[test]
    fn what_is_no_select_over_a_stream_is_refused() {
        assert_eq!(error("SELECT 1"), SqlError::NoStream);
        assert_eq!(error(""), SqlError::NotOneStatement(0));
        assert_eq!(error("SELECT 1; SELECT 2"), SqlError::NotOneStatement(2));
        assert!(matches!(error("DROP TABLE t"), SqlError::NotServed(words) if words == "DROP TABLE"));
    }
}
