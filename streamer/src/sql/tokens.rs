//! From text to tokens that DataFusion's parser understands as Spark's does.
//!
//! - `STREAM t` and `STREAM(t)` become `t`, and the place of `t` is remembered: the parser knows no streams.
//! - Spark compares names without regard to case, also those in backticks: they are lowered, and how they were
//!   written is remembered for the names of the result.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::error::{Near, Position, SqlError};

#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Where the names of streams begin.
    pub(super) streams: BTreeSet<Location>,
    /// What stood in backticks, by place.
    pub(super) spelling: BTreeMap<Location, String>,
}

pub(super) fn tokenize(dialect: &dyn Dialect, text: &str) -> Result<Tokens, SqlError> {
    let tokens =
        Tokenizer::new(dialect, text).tokenize_with_location().map_err(|error| SqlError::Syntax {
            near: near_character(text, error.location),
            position: error.location.into(),
            text: text.to_owned(),
        })?;
    let mut read = Tokens::default();
    let mut tokens = tokens.into_iter().filter(|token| !is_space(&token.token)).peekable();
    while let Some(token) = tokens.next() {
        let opens_relation = opens_relation(read.tokens.last());
        if !(opens_relation && is_stream_keyword(&token.token)) {
            read.push(token);
            continue;
        }
        let parenthesis = tokens.next_if(|next| next.token == Token::LParen);
        match tokens.next_if(|next| is_name(&next.token)) {
            Some(name) => {
                refuse_unquoted(&name, tokens.peek(), text)?;
                read.streams.insert(name.span.start);
                read.push(name);
                if parenthesis.is_some() && tokens.next_if(|next| next.token == Token::RParen).is_none() {
                    return Err(unexpected(tokens.next(), text));
                }
            }
            // A relation that is called stream.
            None => read.tokens.extend([Some(token), parenthesis].into_iter().flatten()),
        }
    }
    Ok(read)
}

/// A syntax error at `token`, or at the end of the text.
pub(super) fn unexpected(token: Option<TokenWithSpan>, text: &str) -> SqlError {
    let (near, position) = match token {
        Some(TokenWithSpan { token, span }) if token != Token::EOF => {
            (Near::Token(token.to_string()), Position::from(span.start))
        }
        _ => (Near::EndOfInput, super::error::end_of(text)),
    };
    SqlError::Syntax { near, position, text: text.to_owned() }
}

impl Tokens {
    fn push(&mut self, mut token: TokenWithSpan) {
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_some()
        {
            let lowered = word.value.to_lowercase();
            let written = std::mem::replace(&mut word.value, lowered);
            self.spelling.insert(token.span.start, written);
        }
        self.tokens.push(token);
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

fn opens_relation(before: Option<&TokenWithSpan>) -> bool {
    match before.map(|token| &token.token) {
        Some(Token::Word(word)) => matches!(word.keyword, Keyword::FROM | Keyword::JOIN),
        _ => false,
    }
}

fn is_stream_keyword(token: &Token) -> bool {
    matches!(token, Token::Word(Word { keyword: Keyword::STREAM, quote_style: None, .. }))
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

fn is_name(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some() || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword),
        _ => false,
    }
}

fn near_character(text: &str, location: Location) -> Near {
    let position = Position::from(location);
    let line = text.lines().nth(usize::try_from(position.line - 1).unwrap_or(0)).unwrap_or_default();
    let character = line.chars().nth(usize::try_from(position.column).unwrap_or(0));
    character.map_or(Near::EndOfInput, |character| Near::Token(character.to_string()))
}
