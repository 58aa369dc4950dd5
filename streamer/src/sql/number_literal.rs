//! Numbers that say their type: `2.5D`, `1.5BD`, `3S`, and `1e3`, which is a DOUBLE. Spark's grammar of numeric literals.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::is_word;

/// Puts a cast in the place of each.
pub(super) fn write_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut written: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let Token::Number(number, false) = &token.token else {
            written.push(token);
            continue;
        };
        let suffix = tokens.peek().filter(|suffix| token.span.end == suffix.span.start);
        let of_suffix = suffix.and_then(|suffix| type_of(number, &suffix.token));
        if of_suffix.is_some() {
            tokens.next();
        }
        let of_exponent = || number.contains(['e', 'E']).then(|| vec![word("double", Keyword::DOUBLE)]);
        match of_suffix.or_else(of_exponent) {
            Some(data_type) => written.extend(cast(token, data_type)),
            None => written.push(token),
        }
    }
    written
}

fn cast(number: TokenWithSpan, data_type: Vec<Token>) -> Vec<TokenWithSpan> {
    let span = number.span;
    let put = |token| TokenWithSpan::new(token, span);
    let mut written = vec![put(word("cast", Keyword::CAST)), put(Token::LParen), number];
    written.push(put(word("as", Keyword::AS)));
    written.extend(data_type.into_iter().map(put));
    written.push(put(Token::RParen));
    written
}

/// The type that a suffix stands for, as tokens.
fn type_of(number: &str, suffix: &Token) -> Option<Vec<Token>> {
    for (suffixed, name, keyword) in [
        ("d", "double", Keyword::DOUBLE),
        ("f", "float", Keyword::FLOAT),
        ("s", "smallint", Keyword::SMALLINT),
        ("y", "tinyint", Keyword::TINYINT),
    ] {
        if is_word(suffix, suffixed) {
            return Some(vec![word(name, keyword)]);
        }
    }
    if !is_word(suffix, "bd") || number.contains(['e', 'E']) {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let precision = whole.trim_start_matches('0').len() + fraction.len();
    let digits = |count: usize| Token::Number(count.to_string(), false);
    Some(vec![
        word("decimal", Keyword::DECIMAL),
        Token::LParen,
        digits(precision.max(1)),
        Token::Comma,
        digits(fraction.len()),
        Token::RParen,
    ])
}

fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}
