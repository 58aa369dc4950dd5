//! Queries with words left out, put in or exchanged: each is planned or refused, and none ends the process.

use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::{QUERIES, ROWS, table};
use crate::session::Frame;

const MUTATIONS: u64 = 4_000;

/// Signs of several characters, the longest first.
const SIGNS: &[&str] = &["<=>", "->", "::", "<=", ">=", "<>", "!=", "==", "||"];

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let length = match first {
            '\'' | '`' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if is_part(first) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            _ => {
                SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(first.len_utf8(), |sign| sign.len())
            }
        };
        let (word, behind) = rest.split_at(length);
        words.extend((word != " ").then_some(word));
        rest = behind;
    }
    words
}

/// A chain of numbers by chance. Marsaglia's xorshift.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let next = |number: &u64| {
        let number = number ^ (number << 13);
        let number = number ^ (number >> 7);
        Some(number ^ (number << 17))
    };
    let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    successors(Some(seed), next).skip(8).map(|number| number as usize)
}

fn mutated(queries: &[Vec<&str>], seed: u64) -> String {
    let mut numbers = numbers(seed);
    let mut below = |end: usize| numbers.next().unwrap_or(0) % end.max(1);
    let mut query = queries[below(queries.len())].clone();
    for _ in 0..=below(3) {
        let other = &queries[below(queries.len())];
        let (at, word) = (below(query.len()), other[below(other.len())]);
        match below(4) {
            0 if query.len() > 1 => drop(query.remove(at)),
            1 => query[at] = word,
            2 => query.insert(at, word),
            _ => {
                let to = below(query.len());
                query.swap(at, to);
            }
        }
    }
    query.join(" ")
}

#[tokio::test]
async fn whatever_is_written_is_planned_or_refused() {
    let t = table("t", ROWS).await;
    let u = table("u", "SELECT column1 AS x, column2 AS name FROM (VALUES (1, 'one'))").await;
    let texts: Vec<String> =
        QUERIES.lines().map(|line| serde_json::from_str::<(String, Value, Value)>(line).unwrap().0).collect();
    let queries: Vec<_> = texts.iter().map(|text| words(text)).collect();
    for seed in 0..MUTATIONS {
        let text = mutated(&queries, seed);
        let planned = catch_unwind(AssertUnwindSafe(|| Frame::select(&text, &[("t", &t), ("u", &u)])));
        assert!(planned.is_ok(), "seed {seed}: {text}");
    }
}
