//! The words of a DDL schema.

use super::SchemaError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword, or a number.
    Word(String),
    /// In backticks.
    Quoted(String),
    /// Between quotes.
    Text(String),
    Sign(char),
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(written) if written.eq_ignore_ascii_case(word))
    }

    pub(super) fn written(&self) -> String {
        match self {
            Token::Word(word) | Token::Text(word) => word.clone(),
            Token::Quoted(name) => format!("`{name}`"),
            Token::Sign(sign) => sign.to_string(),
        }
    }
}

pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, SchemaError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, behind) = match first {
            '`' => quoted(rest, '`').map(|(name, behind)| (Token::Quoted(name), behind))?,
            '\'' | '"' => quoted(rest, first).map(|(name, behind)| (Token::Text(name), behind))?,
            '<' | '>' | '(' | ')' | ',' | ':' => (Token::Sign(first), rest.get(1..).unwrap_or_default()),
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = behind.trim_start();
    }
    Ok(tokens)
}

/// Two quotes in a row stand for one.
fn quoted(text: &str, quote: char) -> Result<(String, &str), SchemaError> {
    let mut name = String::new();
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        let (part, behind) =
            rest.split_once(quote).ok_or_else(|| SchemaError::Syntax { near: format!("'{quote}'") })?;
        name.push_str(part);
        let Some(more) = behind.strip_prefix(quote) else {
            return Ok((name, behind));
        };
        name.push(quote);
        rest = more;
    }
}

fn word(text: &str) -> Result<(Token, &str), SchemaError> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, behind) = text.split_at(end);
    match (word, text.chars().next()) {
        ("", Some(other)) => Err(SchemaError::Syntax { near: format!("'{other}'") }),
        _ => Ok((Token::Word(word.to_owned()), behind)),
    }
}
