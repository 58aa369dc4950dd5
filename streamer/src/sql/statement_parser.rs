//! From a job's text to its statements, in Spark 4.1's grammar.
//!
//! What Spark's Declarative Pipelines leave to their own settings, such as OPTIONS of a streaming table, is taken here,
//! too.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::error::SqlError;
use super::interval::Interval;
use super::query::QueryText;
use super::statement::{Flow, IfExists, Statement, StatementKind, TableDefinition, ViewDefinition};
use super::tokens::{Tokens, tokenize};
use crate::options::Options;

/// The statements between the semicolons, in their order.
pub fn parse_job(text: &str) -> Result<Vec<Statement>, SqlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    tokenize(text)?.statements().iter().map(statement).collect()
}

/// One query and nothing else.
pub fn parse_query(text: &str) -> Result<QueryText, SqlError> {
    QueryText::parse(&tokenize(text)?)
}

/// `10 seconds`, as milliseconds.
pub(crate) fn parse_delay(text: &str) -> Result<i64, SqlError> {
    let tokens = tokenize(text)?;
    let invalid = || {
        SqlError::Unpositioned(format!(
            "[CANNOT_PARSE_INTERVAL] Unable to parse '{text}'. Please ensure that the value provided is in a valid format for \
         defining an interval. SQLSTATE: 22006"
        ))
    };
    let interval = Interval::parse(&tokens.tokens).map_err(|_| invalid())?;
    let is_whole = interval.tokens == tokens.tokens.len();
    interval.ms().filter(|ms| is_whole && *ms >= 0).ok_or_else(invalid)
}

fn statement(tokens: &Tokens<'_>) -> Result<Statement, SqlError> {
    let mut cursor = Cursor::new(tokens);
    let position = cursor.position();
    let kind = if cursor.words(&["set"]) {
        set(&mut cursor)?
    } else if cursor.words(&["create"]) {
        create(&mut cursor)?
    } else if cursor.is_at(&["insert"]) {
        insert(&mut cursor, None)?
    } else if starts_query(&cursor) {
        StatementKind::Query(QueryText::parse(tokens)?)
    } else {
        return Err(not_served(tokens));
    };
    Ok(Statement { kind, position })
}

/// A word that no statement begins with is the parser's to complain of.
fn starts_query(cursor: &Cursor<'_>) -> bool {
    !OTHER_STATEMENTS.iter().any(|word| cursor.is_at(&[word]))
}

const OTHER_STATEMENTS: &[&str] = &[
    "alter", "analyze", "cache", "clear", "delete", "desc", "describe", "drop", "explain", "merge",
    "refresh", "reset", "show", "truncate", "uncache", "update", "use",
];

fn not_served(tokens: &Tokens<'_>) -> SqlError {
    let words: Vec<_> =
        tokens.tokens.iter().take(2).map(|token| token.token.to_string().to_uppercase()).collect();
    SqlError::NotServed(words.join(" "))
}

/// The value is what stands behind the sign, as written; quotes are a part of it, as in Spark.
fn set(cursor: &mut Cursor<'_>) -> Result<StatementKind, SqlError> {
    if cursor.words(&["time", "zone"]) {
        let value = match cursor.string() {
            Ok(zone) => zone,
            // The time zone of this machine is the one without a setting.
            Err(_) if cursor.words(&["local"]) => String::new(),
            Err(error) => return Err(error),
        };
        cursor.expect_end()?;
        return Ok(StatementKind::Set { key: "spark.sql.session.timeZone".to_owned(), value });
    }
    let rest = cursor.rest();
    match rest.written().split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok(StatementKind::Set {
            key: without_backticks(key).to_owned(),
            value: without_backticks(value).to_owned(),
        }),
        _ => Err(SqlError::NotServed("SET without a value".to_owned())),
    }
}

fn without_backticks(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(text)
}

fn create(cursor: &mut Cursor<'_>) -> Result<StatementKind, SqlError> {
    let replace = cursor.words(&["or", "replace"]);
    // Not in Spark's grammar, but in what people bring along from Databricks.
    let refresh = !replace && cursor.words(&["or", "refresh"]);
    if cursor.words(&["streaming", "table"]) {
        return streaming_table(cursor);
    }
    if refresh {
        return Err(cursor.unexpected());
    }
    if cursor.words(&["materialized", "view"]) {
        return Err(SqlError::MaterializedView);
    }
    if cursor.words(&["flow"]) {
        let name = cursor.qualified_name()?;
        if cursor.words(&["comment"]) {
            cursor.string()?;
        }
        cursor.expect_words(&["as"])?;
        return insert(cursor, Some(name));
    }
    cursor.words(&["global"]);
    let temporary = cursor.words(&["temporary"]) || cursor.words(&["temp"]);
    if cursor.words(&["view"]) {
        return view(cursor, replace);
    }
    if !temporary && (cursor.words(&["table"]) || cursor.words(&["external", "table"])) {
        let mut table = table_name(cursor)?;
        if replace {
            table.if_exists = IfExists::Replace;
        }
        clauses(cursor, &mut table)?;
        if cursor.is_at(&["as"]) || cursor.is_at(&["select"]) {
            return Err(SqlError::NotServed("CREATE TABLE … AS SELECT".to_owned()));
        }
        cursor.expect_end()?;
        return Ok(StatementKind::CreateTable(table));
    }
    Err(cursor.unexpected())
}

fn table_name(cursor: &mut Cursor<'_>) -> Result<TableDefinition, SqlError> {
    let mut table = relation_name(cursor)?;
    table.columns = match cursor.peek().map(|token| &token.token) {
        Some(Token::LParen) => Some(cursor.parenthesized()?.to_owned()),
        _ => None,
    };
    Ok(table)
}

/// USING, OPTIONS and what else may follow, in any order.
fn clauses(cursor: &mut Cursor<'_>, table: &mut TableDefinition) -> Result<(), SqlError> {
    loop {
        if cursor.words(&["using"]) {
            table.format = Some(format_name(cursor)?);
        } else if cursor.words(&["options"]) {
            for (key, value) in option_list(cursor)? {
                table.options.set(&key, &value);
            }
        } else if cursor.words(&["tblproperties"]) {
            option_list(cursor)?;
        } else if cursor.words(&["partitioned", "by"]) {
            table.partitioned_by = cursor.names()?;
        } else if cursor.words(&["comment"]) {
            cursor.string()?;
        } else if cursor.is_at(&["location"]) {
            let position = cursor.position();
            cursor.expect_words(&["location"])?;
            let location = cursor.string()?;
            if let Some(path) = table.options.get("path") {
                return Err(SqlError::Analysis {
                    message: format!(
                        "Duplicated table paths found: '{location}' and '{path}'. LOCATION and the case insensitive \
                         key 'path' in OPTIONS are all used to indicate the custom table path, you can only specify \
                         one of them."
                    ),
                    position,
                });
            }
            table.options.set("path", &location);
        } else {
            return Ok(());
        }
    }
}

/// `kafka`, `rate-micro-batch`, or a class with its package.
fn format_name(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    let mut name = cursor.name()?;
    loop {
        let sign = match cursor.peek().map(|token| &token.token) {
            Some(Token::Period) => '.',
            Some(Token::Minus) => '-',
            _ => return Ok(name),
        };
        cursor.next();
        name.push(sign);
        name.push_str(&cursor.name()?);
    }
}

/// `(key 'value', a.b = 'x', n 2000)`
fn option_list(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, SqlError> {
    cursor.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        let position = cursor.position();
        let key = option_key(cursor)?;
        cursor.token(&Token::Eq);
        let is_over = cursor.peek().is_some_and(|next| matches!(next.token, Token::Comma | Token::RParen));
        if is_over {
            let message = format!("Operation not allowed: A value must be specified for the key: {key}.");
            return Err(SqlError::Analysis { message, position });
        }
        let value = option_value(cursor)?;
        options.push((key, value));
        if cursor.token(&Token::RParen) {
            return Ok(options);
        }
        cursor.expect_token(&Token::Comma)?;
    }
}

fn option_key(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if let Ok(key) = cursor.string() {
        return Ok(key);
    }
    let mut key = key_part(cursor)?;
    while cursor.token(&Token::Period) {
        key.push('.');
        key.push_str(&key_part(cursor)?);
    }
    Ok(key)
}

/// Keys may be words that are reserved elsewhere.
fn key_part(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            cursor.next();
            Ok(word.value.clone())
        }
        _ => cursor.name(),
    }
}

fn option_value(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if let Ok(value) = cursor.string() {
        return Ok(value);
    }
    let sign = if cursor.token(&Token::Minus) { "-" } else { "" };
    match cursor.peek().map(|token| &token.token) {
        Some(Token::Number(number, _)) => {
            cursor.next();
            Ok(format!("{sign}{number}"))
        }
        Some(Token::Word(word)) if sign.is_empty() => {
            let value = word.value.to_lowercase();
            if !["true", "false", "null"].contains(&value.as_str()) {
                return Err(cursor.unexpected());
            }
            cursor.next();
            Ok(value)
        }
        _ => Err(cursor.unexpected()),
    }
}

fn view(cursor: &mut Cursor<'_>, replace: bool) -> Result<StatementKind, SqlError> {
    let mut table = relation_name(cursor)?;
    if replace {
        table.if_exists = IfExists::Replace;
    }
    let mut columns = Vec::new();
    if cursor.peek().is_some_and(|token| token.token == Token::LParen) {
        let begin = cursor.clone();
        table.columns = Some(cursor.parenthesized()?.to_owned());
        if !cursor.is_at(&["using"]) {
            // Names for the columns of a SELECT, which have no types.
            *cursor = begin;
            columns = cursor.names()?;
        }
    }
    if cursor.is_at(&["using"]) {
        clauses(cursor, &mut table)?;
        cursor.expect_end()?;
        return Ok(StatementKind::CreateTable(table));
    }
    clauses(cursor, &mut table)?;
    cursor.expect_words(&["as"])?;
    let query = QueryText::parse(&cursor.rest())?;
    let TableDefinition { name, if_exists, .. } = table;
    Ok(StatementKind::CreateView(ViewDefinition { name, if_exists, columns, query }))
}

fn relation_name(cursor: &mut Cursor<'_>) -> Result<TableDefinition, SqlError> {
    let if_exists = if cursor.words(&["if", "not", "exists"]) { IfExists::Keep } else { IfExists::Fail };
    let name = cursor.qualified_name()?;
    let (options, partitioned_by) = (Options::default(), Vec::new());
    Ok(TableDefinition { name, if_exists, format: None, options, columns: None, partitioned_by })
}

fn streaming_table(cursor: &mut Cursor<'_>) -> Result<StatementKind, SqlError> {
    let mut table = table_name(cursor)?;
    clauses(cursor, &mut table)?;
    let query = if cursor.words(&["as"]) {
        Some(QueryText::parse(&cursor.rest())?)
    } else {
        cursor.expect_end()?;
        None
    };
    Ok(StatementKind::CreateStreamingTable { table, query })
}

fn insert(cursor: &mut Cursor<'_>, name: Option<String>) -> Result<StatementKind, SqlError> {
    cursor.expect_words(&["insert"])?;
    if cursor.is_at(&["overwrite"]) {
        return Err(SqlError::NotServed("INSERT OVERWRITE".to_owned()));
    }
    cursor.expect_words(&["into"])?;
    cursor.words(&["table"]);
    let table = cursor.qualified_name()?;
    let by_name = cursor.words(&["by", "name"]);
    let query = QueryText::parse(&cursor.rest())?;
    Ok(StatementKind::Flow(Flow { name, table, by_name, query }))
}
