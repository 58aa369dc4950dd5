//! What Spark has in a FROM clause and the parser has not.
//!
//! - `STREAM t` and `STREAM(t)` become `t`, and the place of `t` is remembered.
//! - `r WATERMARK c DELAY OF i` becomes ``TABLE(`watermark 0`((SELECT * FROM r), c))``, which
//!   [`super::relation`] plans.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::error::{Near, Position, SqlError};
use super::interval::Interval;
use super::tokens::{Tokens, is_word, unexpected};

/// A statement's tokens for the parser, and what they do not say any more.
#[derive(Debug, Default)]
pub(super) struct FromClauses {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Where the names of streams begin.
    pub(super) streams: BTreeSet<Location>,
    /// By the number in the function's name.
    pub(super) watermarks: Vec<Watermark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) delay_ms: i64,
    /// Of an expression that is given a name.
    pub(crate) alias: Option<String>,
}

/// Of a function that is a watermark, before its number.
pub(super) const WATERMARK: &str = "watermark ";

/// What stands between two parentheses.
#[derive(Default)]
struct Level {
    /// Whether relations stand here.
    in_from: bool,
    /// Whether it is the arguments of a function.
    is_call: bool,
    is_query: bool,
    /// Where the last relation begins.
    relation: usize,
}

pub(super) fn rewrite(tokens: &Tokens<'_>) -> Result<FromClauses, SqlError> {
    let mut rewriter =
        Rewriter { input: tokens, place: 0, levels: vec![Level::default()], out: FromClauses::default() };
    while let Some(token) = tokens.tokens.get(rewriter.place) {
        rewriter.take(token)?;
    }
    Ok(rewriter.out)
}

struct Rewriter<'a> {
    input: &'a Tokens<'a>,
    place: usize,
    levels: Vec<Level>,
    out: FromClauses,
}

impl Rewriter<'_> {
    fn take(&mut self, token: &TokenWithSpan) -> Result<(), SqlError> {
        let opens_relation = self.opens_relation();
        if opens_relation {
            let begin = self.out.tokens.len();
            self.level().relation = begin;
        }
        match &token.token {
            Token::LParen => {
                let is_call =
                    !opens_relation && self.out.tokens.last().is_some_and(|token| is_name(&token.token));
                self.levels.push(Level { in_from: opens_relation, is_call, ..Level::default() });
            }
            Token::RParen if self.levels.len() > 1 => drop(self.levels.pop()),
            word if opens_relation && is_word(word, "stream") => return self.stream(token),
            word if is_word(word, "watermark") && self.level().in_from => {
                if let Some(delay) = self.delay() {
                    return self.watermark(token, delay);
                }
            }
            Token::Word(word) => self.clause(word.keyword),
            _ => {}
        }
        self.out.tokens.push(token.clone());
        self.place += 1;
        Ok(())
    }

    /// The innermost one; there always is one.
    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn opens_relation(&mut self) -> bool {
        if !self.level().in_from {
            return false;
        }
        match self.out.tokens.last().map(|token| &token.token) {
            Some(Token::Word(word)) => matches!(word.keyword, Keyword::FROM | Keyword::JOIN),
            Some(token) => matches!(token, Token::Comma | Token::LParen),
            None => false,
        }
    }

    fn clause(&mut self, keyword: Keyword) {
        let before = self.out.tokens.last().map(|token| token.token.clone());
        let level = self.level();
        match keyword {
            Keyword::SELECT | Keyword::WITH => (level.is_query, level.in_from) = (true, false),
            // Not in `extract(YEAR FROM ts)`, and not in `IS DISTINCT FROM`.
            Keyword::FROM => {
                let is_distinct = before.is_some_and(|token| is_word(&token, "distinct"));
                level.in_from |= (!level.is_call || level.is_query) && !is_distinct;
            }
            Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::SORT
            | Keyword::CLUSTER
            | Keyword::DISTRIBUTE
            | Keyword::LIMIT
            | Keyword::WINDOW
            | Keyword::VIEW
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT => level.in_from = false,
            _ => {}
        }
    }

    fn next(&self, ahead: usize) -> Option<&TokenWithSpan> {
        self.input.tokens.get(self.place + ahead)
    }

    fn stream(&mut self, token: &TokenWithSpan) -> Result<(), SqlError> {
        let in_parentheses = self.next(1).is_some_and(|next| next.token == Token::LParen);
        let name_ahead = if in_parentheses { 2 } else { 1 };
        let Some(name) = self.next(name_ahead).filter(|next| is_name(&next.token)).cloned() else {
            // A relation that is called stream.
            self.out.tokens.push(token.clone());
            self.place += 1;
            return Ok(());
        };
        refuse_unquoted(&name, self.next(name_ahead + 1), self.input.text)?;
        self.out.streams.insert(name.span.start);
        self.out.tokens.push(name);
        self.place += name_ahead + 1;
        if in_parentheses {
            match self.next(0) {
                Some(next) if next.token == Token::RParen => self.place += 1,
                other => return Err(unexpected(other, self.input.text)),
            }
        }
        Ok(())
    }

    /// How far ahead `DELAY OF` is, if this is a WATERMARK clause.
    fn delay(&self) -> Option<usize> {
        let rest = self.input.tokens.get(self.place..).unwrap_or_default();
        let mut depth = 0_i64;
        for (ahead, pair) in rest.windows(2).enumerate() {
            let [token, next] = pair else { break };
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                word if depth == 0 && is_word(word, "delay") && is_word(&next.token, "of") => {
                    return Some(ahead);
                }
                _ => {}
            }
            if depth < 0 {
                break;
            }
        }
        None
    }

    fn watermark(&mut self, token: &TokenWithSpan, delay: usize) -> Result<(), SqlError> {
        let begin = self.level().relation;
        if !is_relation(self.out.tokens.get(begin..).unwrap_or_default()) || delay < 2 {
            let found = if delay < 2 { self.next(delay + 2) } else { Some(token) };
            return Err(unexpected(found, self.input.text));
        }
        let column = self.input.tokens.get(self.place + 1..self.place + delay).unwrap_or_default();
        let (column, alias) = self.named(column);
        let place = self.place + delay + 2;
        let delay = self.parse_delay(place)?;
        let number = self.out.watermarks.len();
        let ms = delay.ms().filter(|ms| *ms >= 0).ok_or_else(|| SqlError::Analysis {
            message: format!("the delay of a watermark cannot be {}", delay.text()),
            position: token.span.start.into(),
        })?;
        self.out.watermarks.push(Watermark { delay_ms: ms, alias });
        let relation = self.out.tokens.split_off(begin);
        let name = Token::make_word(&format!("{WATERMARK}{number}"), Some('`'));
        let words = |text: &str| text.split(' ').map(|word| Token::make_word(word, None)).collect::<Vec<_>>();
        let mut wrapped = [words("TABLE"), vec![Token::LParen, name, Token::LParen, Token::LParen]].concat();
        wrapped.extend([words("SELECT"), vec![Token::Mul], words("FROM")].concat());
        self.push_all(wrapped, token.span);
        self.out.tokens.extend(relation);
        self.push_all(vec![Token::RParen, Token::Comma], token.span);
        self.out.tokens.extend(column);
        self.push_all(vec![Token::RParen, Token::RParen], token.span);
        self.place = place + 1 + delay.tokens;
        Ok(())
    }

    fn push_all(&mut self, tokens: Vec<Token>, span: Span) {
        self.out.tokens.extend(tokens.into_iter().map(|token| TokenWithSpan::new(token, span)));
    }

    /// Spark takes only an interval with the word INTERVAL and units here.
    fn parse_delay(&self, place: usize) -> Result<Interval, SqlError> {
        let at = |place: usize| self.input.tokens.get(place);
        match at(place) {
            Some(token) if is_word(&token.token, "interval") => {}
            Some(token) => {
                let near = Near::Missing { found: token.token.to_string(), missing: "INTERVAL" };
                let (position, text) = (token.span.start.into(), self.input.text.to_owned());
                return Err(SqlError::Syntax { near, position, text });
            }
            None => return Err(unexpected(None, self.input.text)),
        }
        let behind = self.input.tokens.get(place + 1..).unwrap_or_default();
        Interval::parse(behind).map_err(|bad| unexpected(behind.get(bad), self.input.text))
    }

    /// An expression apart from its name: `to_timestamp(x) AS ts`.
    fn named(&self, tokens: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, Option<String>) {
        if let [expr @ .., before, last] = tokens
            && let Some(alias) = self.input.spelling.at(last)
        {
            if is_word(&before.token, "as") {
                return (expr.to_vec(), Some(alias));
            }
            let ends_expr = matches!(before.token, Token::RParen | Token::RBracket) || is_name(&before.token);
            if ends_expr {
                return ([expr, std::slice::from_ref(before)].concat(), Some(alias));
            }
        }
        (tokens.to_vec(), None)
    }
}

/// A name with its qualifiers, or something in parentheses, and nothing else: no alias.
fn is_relation(tokens: &[TokenWithSpan]) -> bool {
    match tokens {
        [first, .., last] if first.token == Token::LParen => {
            let mut depth = 0_i64;
            let closes = tokens.iter().position(|token| {
                match token.token {
                    Token::LParen => depth += 1,
                    Token::RParen => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            closes == Some(tokens.len() - 1) && last.token == Token::RParen
        }
        _ => {
            tokens.len() % 2 == 1
                && tokens.iter().enumerate().all(|(place, token)| {
                    if place % 2 == 0 { is_name(&token.token) } else { token.token == Token::Period }
                })
        }
    }
}

/// Topics often have names, such as `my-topic` or `my.topic`, that Spark takes only in backticks.
fn refuse_unquoted(name: &TokenWithSpan, next: Option<&TokenWithSpan>, text: &str) -> Result<(), SqlError> {
    let goes_on = next.is_some_and(|next| {
        next.span.start == name.span.end && matches!(next.token, Token::Minus | Token::Period)
    });
    if !goes_on {
        return Ok(());
    }
    let position = Position::from(name.span.start);
    let line = text.lines().nth(usize::try_from(position.line - 1).unwrap_or(0)).unwrap_or_default();
    let rest = line.chars().skip(usize::try_from(position.column).unwrap_or(0));
    let whole = rest.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '`'));
    Err(SqlError::InvalidIdentifier { name: whole.filter(|c| *c != '`').collect(), position })
}

pub(super) fn is_name(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some() || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword),
        _ => false,
    }
}
