//! Spark's DDL: `id BIGINT NOT NULL COMMENT 'key', tags ARRAY<STRING>, place STRUCT<lat: DOUBLE, lon: DOUBLE>`.

use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::tokens::{Token, tokenize};
use super::{MAX_DEPTH, SchemaError, decimal, list_of, map_of, simple_type};

/// A type if the text is one, else columns.
pub(super) fn parse(text: &str, time_zone: &str) -> Result<DataType, SchemaError> {
    let tokens = tokenize(text)?;
    if tokens.is_empty() {
        return Err(SchemaError::Empty);
    }
    let parser = || Parser { tokens: &tokens, at: 0, depth: 0, time_zone };
    let mut alone = parser();
    match alone.data_type() {
        Ok(data_type) if alone.peek().is_none() => return Ok(data_type),
        Err(SchemaError::TooLarge) => return Err(SchemaError::TooLarge),
        _ => {}
    }
    // One word is meant to be a type.
    if let [Token::Word(name)] = tokens.as_slice() {
        return Err(SchemaError::UnsupportedType { name: name.to_uppercase() });
    }
    let mut columns = parser();
    let fields = columns.fields(None)?;
    match columns.peek() {
        None => Ok(DataType::Struct(fields)),
        Some(_) => Err(columns.unexpected()),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    time_zone: &'a str,
}

impl Parser<'_> {
    /// Columns up to `end`, or to the end of the text.
    fn fields(&mut self, end: Option<char>) -> Result<Fields, SchemaError> {
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            if !self.take(',') {
                break;
            }
        }
        if let Some(end) = end {
            self.expect(end)?;
        }
        Ok(fields.into())
    }

    fn field(&mut self) -> Result<Field, SchemaError> {
        let name = match self.next() {
            Some(Token::Word(name) | Token::Quoted(name)) => name.clone(),
            _ => return Err(self.stumbled()),
        };
        self.take(':');
        let data_type = self.data_type()?;
        let mut nullable = true;
        if self.take_word("not") {
            nullable = false;
            if !self.take_word("null") {
                return Err(self.unexpected());
            }
        }
        if self.take_word("comment") && !matches!(self.next(), Some(Token::Text(_))) {
            return Err(self.stumbled());
        }
        Ok(Field::new(name, data_type, nullable))
    }

    fn data_type(&mut self) -> Result<DataType, SchemaError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SchemaError::TooLarge);
        }
        let Some(Token::Word(name)) = self.next().cloned() else {
            return Err(self.stumbled());
        };
        let data_type = match name.to_ascii_lowercase().as_str() {
            "array" => {
                self.expect('<')?;
                let element = self.data_type()?;
                self.expect('>')?;
                list_of(element, true)
            }
            "map" => {
                self.expect('<')?;
                let key = self.data_type()?;
                self.expect(',')?;
                let value = self.data_type()?;
                self.expect('>')?;
                map_of(key, value, true)
            }
            "struct" => {
                self.expect('<')?;
                match self.take('>') {
                    true => DataType::Struct(Fields::empty()),
                    false => DataType::Struct(self.fields(Some('>'))?),
                }
            }
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "char" | "character" | "varchar" => return Err(SchemaError::CharOrVarchar),
            _ => simple_type(&name, self.time_zone)
                .ok_or_else(|| SchemaError::UnsupportedType { name: name.to_uppercase() })?,
        };
        self.depth -= 1;
        Ok(data_type)
    }

    fn decimal(&mut self) -> Result<DataType, SchemaError> {
        if !self.take('(') {
            return decimal(10, 0);
        }
        let precision = self.number()?;
        let scale = if self.take(',') { self.number()? } else { 0 };
        self.expect(')')?;
        decimal(precision, scale)
    }

    fn number(&mut self) -> Result<u32, SchemaError> {
        match self.next() {
            Some(Token::Word(digits)) => digits.parse().map_err(|_| self.stumbled()),
            _ => Err(self.stumbled()),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: char) -> Result<(), SchemaError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// About the token that was just taken.
    fn stumbled(&mut self) -> SchemaError {
        self.at -= 1;
        self.unexpected()
    }

    fn unexpected(&self) -> SchemaError {
        let near = match self.peek() {
            Some(token) => format!("'{}'", token.written()),
            None => "end of input".to_owned(),
        };
        SchemaError::Syntax { near }
    }
}
