//! A place in a statement's tokens, for the statements that the parser does not read.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::error::{Position, SqlError};
use super::tokens::{Tokens, is_word, slice, unexpected};

#[derive(Clone)]
pub(super) struct Cursor<'a> {
    tokens: &'a Tokens<'a>,
    place: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a Tokens<'a>) -> Cursor<'a> {
        Cursor { tokens, place: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'a TokenWithSpan> {
        self.tokens.tokens.get(self.place)
    }

    pub(super) fn next(&mut self) -> Option<&'a TokenWithSpan> {
        let token = self.peek();
        self.place += 1;
        token
    }

    pub(super) fn position(&self) -> Position {
        self.peek().map_or_else(|| super::error::end_of(self.tokens.text), |token| token.span.start.into())
    }

    /// What does not fit here.
    pub(super) fn unexpected(&self) -> SqlError {
        unexpected(self.peek(), self.tokens.text)
    }

    pub(super) fn is_at(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| {
            let token = self.tokens.tokens.get(self.place + ahead);
            token.is_some_and(|token| is_word(&token.token, word))
        })
    }

    /// Takes these words if they stand here.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = self.is_at(words);
        if found {
            self.place += words.len();
        }
        found
    }

    pub(super) fn expect_words(&mut self, words: &[&str]) -> Result<(), SqlError> {
        words.iter().try_for_each(|word| if self.words(&[word]) { Ok(()) } else { Err(self.unexpected()) })
    }

    pub(super) fn token(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|next| next.token == *token);
        self.place += usize::from(found);
        found
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.token(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn expect_end(&self) -> Result<(), SqlError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A name as it was written.
    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        match self
            .peek()
            .filter(|token| is_declared_name(&token.token))
            .and_then(|t| self.tokens.spelling.at(t))
        {
            Some(name) => {
                self.place += 1;
                Ok(name)
            }
            None => Err(self.unexpected()),
        }
    }

    /// A name, whose qualifiers of catalog and schema mean nothing here.
    pub(super) fn qualified_name(&mut self) -> Result<String, SqlError> {
        let mut name = self.name()?;
        while self.token(&Token::Period) {
            name = self.name()?;
        }
        Ok(name)
    }

    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        match self.peek().map(|token| &token.token) {
            Some(Token::SingleQuotedString(text)) => {
                self.place += 1;
                Ok(text.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Names in parentheses; each may have something more behind, up to the comma.
    pub(super) fn names(&mut self) -> Result<Vec<String>, SqlError> {
        self.expect_token(&Token::LParen)?;
        let mut names = vec![self.name()?];
        loop {
            if self.words(&["comment"]) {
                self.string()?;
            }
            if self.token(&Token::RParen) {
                return Ok(names);
            }
            self.expect_token(&Token::Comma)?;
            names.push(self.name()?);
        }
    }

    /// What stands between the parenthesis here and the one that closes it, as written.
    pub(super) fn parenthesized(&mut self) -> Result<&'a str, SqlError> {
        let open = self.peek().map(|token| token.span.end);
        self.expect_token(&Token::LParen)?;
        let mut depth = 1_i64;
        while let Some(token) = self.next() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if let (0, Some(open)) = (depth, open) {
                return Ok(slice(self.tokens.text, open, token.span.start));
            }
        }
        Err(self.unexpected())
    }

    pub(super) fn rest(&self) -> Tokens<'a> {
        self.tokens.with(self.tokens.tokens.get(self.place..).unwrap_or_default().to_vec())
    }
}
/// Spark reserves hardly a word where a name is declared.
fn is_declared_name(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some() || !matches!(word.keyword, Keyword::AS | Keyword::USING)
        }
        _ => false,
    }
}
