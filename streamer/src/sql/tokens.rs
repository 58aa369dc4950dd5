//! From text to tokens that the parser understands as Spark's does.
//!
//! - Spark compares names without regard to case, also those in backticks: they are lowered, and how they were
//!   written is remembered for the names of the result.
//! - Strings have Spark's escapes and may be in either quotes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace, Word,
};

use super::dialect::SparkDialect;
use super::error::{Near, Position, SqlError};
use super::string_literal::unescape;

/// The tokens of a text or of one of its statements.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    pub(super) tokens: Vec<TokenWithSpan>,
    pub(super) spelling: Arc<Spelling>,
    /// The whole text.
    pub(super) text: &'a str,
}

/// What stood in backticks, by place.
#[derive(Debug, Default)]
pub(super) struct Spelling(BTreeMap<Location, String>);

impl Spelling {
    pub(super) fn of(&self, name: &datafusion::sql::sqlparser::ast::Ident) -> String {
        self.0.get(&name.span.start).unwrap_or(&name.value).clone()
    }

    pub(super) fn at(&self, token: &TokenWithSpan) -> Option<String> {
        match &token.token {
            Token::Word(word) => Some(self.0.get(&token.span.start).unwrap_or(&word.value).clone()),
            _ => None,
        }
    }
}

/// `struct(*)` and `struct(t.*)` as a call of `named_struct`: the parser knows no `*` in a struct.
pub(super) fn name_structs(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_of_all = |place: usize| {
        let rest = tokens.get(place..).unwrap_or_default();
        let [name, open, arguments @ ..] = rest else {
            return false;
        };
        let mut arguments = arguments.iter().map(|token| &token.token).peekable();
        while matches!(arguments.peek(), Some(Token::Word(_))) {
            arguments.next();
            if arguments.next() != Some(&Token::Period) {
                return false;
            }
        }
        is_word(&name.token, "struct") && open.token == Token::LParen && arguments.next() == Some(&Token::Mul)
    };
    let of_all: Vec<_> = (0..tokens.len()).filter(|place| is_of_all(*place)).collect();
    for place in of_all {
        if let Some(token) = tokens.get_mut(place) {
            token.token = Token::make_word("named_struct", None);
        }
    }
    tokens
}

/// `exists(array, x -> …)` under the name that DataFusion has for it: `EXISTS (` begins a subquery for the parser.
pub(super) fn name_exists(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_call: Vec<bool> = (0..tokens.len())
        .map(|place| {
            let next = |ahead: usize| tokens.get(place + ahead).map(|token| &token.token);
            let begins_query = |token: &Token| {
                ["select", "with", "from", "values", "table"].iter().any(|w| is_word(token, w))
            };
            next(0).is_some_and(|token| is_word(token, "exists"))
                && next(1) == Some(&Token::LParen)
                && next(2).is_some_and(|token| *token != Token::LParen && !begins_query(token))
        })
        .collect();
    for (token, _) in tokens.iter_mut().zip(is_call).filter(|(_, is_call)| *is_call) {
        token.token = Token::make_word("array_any_match", None);
    }
    tokens
}

pub(super) fn tokenize(text: &str) -> Result<Tokens<'_>, SqlError> {
    let mut tokenizer = Tokenizer::new(&SparkDialect, text).with_unescape(false);
    let read = tokenizer.tokenize_with_location().map_err(|error| SqlError::Syntax {
        near: near_character(text, error.location),
        position: error.location.into(),
        text: text.to_owned(),
    })?;
    let mut spelling = Spelling::default();
    let mut tokens: Vec<TokenWithSpan> = Vec::with_capacity(read.len());
    for mut token in read {
        if is_space(&token.token) || token.token == Token::EOF {
            continue;
        }
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_some()
        {
            let written = std::mem::take(&mut word.value).replace("``", "`");
            word.value = written.to_lowercase();
            spelling.0.insert(token.span.start, written);
        }
        match string(&token.token) {
            Some(raw) => push_string(&mut tokens, raw, token.span),
            None => tokens.push(token),
        }
    }
    Ok(Tokens { tokens, spelling: Arc::new(spelling), text })
}

impl<'a> Tokens<'a> {
    /// The statements between the semicolons; there may be nothing between two of them.
    pub(super) fn statements(self) -> Vec<Tokens<'a>> {
        let Tokens { tokens, spelling, text } = self;
        let statements = tokens.split(|token| token.token == Token::SemiColon);
        let statements = statements.filter(|tokens| !tokens.is_empty());
        statements
            .map(|tokens| Tokens { tokens: tokens.to_vec(), spelling: spelling.clone(), text })
            .collect()
    }

    pub(super) fn with(&self, tokens: Vec<TokenWithSpan>) -> Tokens<'a> {
        Tokens { tokens, spelling: self.spelling.clone(), text: self.text }
    }

    /// The text from the first to the last of its tokens, as it was written.
    pub(super) fn written(&self) -> &'a str {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => slice(self.text, first.span.start, last.span.end),
            _ => "",
        }
    }
}

/// In a query, strings that stand side by side are one.
pub(super) fn join_strings(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Token::SingleQuotedString(text) = &token.token
            && let Some(TokenWithSpan { token: Token::SingleQuotedString(before), span }) = joined.last_mut()
        {
            before.push_str(text);
            span.end = token.span.end;
        } else {
            joined.push(token);
        }
    }
    joined
}

/// The text between two places.
pub(super) fn slice(text: &str, start: Location, end: Location) -> &str {
    let (start, end) = (byte_offset(text, start), byte_offset(text, end));
    text.get(start..end.max(start)).unwrap_or_default()
}

fn byte_offset(text: &str, place: Location) -> usize {
    let lines = usize::try_from(place.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let columns = usize::try_from(place.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let line = text.get(start..).unwrap_or_default();
    start + line.chars().take(columns).map(char::len_utf8).sum::<usize>()
}

/// A syntax error at `token`, or at the end of the text.
pub(super) fn unexpected(token: Option<&TokenWithSpan>, text: &str) -> SqlError {
    let (near, position) = match token {
        Some(TokenWithSpan { token, span }) if *token != Token::EOF => {
            (Near::Token(token.to_string()), Position::from(span.start))
        }
        _ => (Near::EndOfInput, super::error::end_of(text)),
    };
    SqlError::Syntax { near, position, text: text.to_owned() }
}

/// Whether the token is this word, without backticks.
pub(super) fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(expected))
}

/// The raw text of a string literal, and its quote.
fn string(token: &Token) -> Option<(&str, char)> {
    match token {
        Token::SingleQuotedString(raw) => Some((raw, '\'')),
        Token::DoubleQuotedString(raw) => Some((raw, '"')),
        _ => None,
    }
}

fn push_string(tokens: &mut Vec<TokenWithSpan>, (raw, quote): (&str, char), span: Span) {
    match tokens.last_mut() {
        // A raw string: `r'\d'`.
        Some(TokenWithSpan { token, span: before }) if before.end == span.start && (is_word(token, "r")) => {
            *token = Token::SingleQuotedString(raw.to_owned());
            before.end = span.end;
        }
        _ => tokens.push(TokenWithSpan::new(Token::SingleQuotedString(unescape(raw, quote)), span)),
    }
}

fn is_space(token: &Token) -> bool {
    matches!(
        token,
        Token::Whitespace(
            Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_)
        )
    )
}

fn near_character(text: &str, location: Location) -> Near {
    let position = Position::from(location);
    let line = text.lines().nth(usize::try_from(position.line - 1).unwrap_or(0)).unwrap_or_default();
    let character = line.chars().nth(usize::try_from(position.column).unwrap_or(0));
    character.map_or(Near::EndOfInput, |character| Near::Token(character.to_string()))
}
