//! Numbers that say their type: `2.5D`, `1.5BD`, `3S`. Spark's grammar of numeric literals.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::is_word;

/// Puts a cast in the place of each.
pub(super) fn write_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut written: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let number = match written.last() {
            Some(TokenWithSpan { token: Token::Number(number, false), span })
                if span.end == token.span.start =>
            {
                Some(number.clone())
            }
            _ => None,
        };
        match number.and_then(|number| type_of(&number, &token.token)) {
            Some(data_type) => {
                let number = written.pop();
                let span = token.span;
                let put = |token| TokenWithSpan::new(token, span);
                written.extend([put(word("cast", Keyword::CAST)), put(Token::LParen)]);
                written.extend(number);
                written.push(put(word("as", Keyword::AS)));
                written.extend(data_type.into_iter().map(put));
                written.push(put(Token::RParen));
            }
            None => written.push(token),
        }
    }
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
