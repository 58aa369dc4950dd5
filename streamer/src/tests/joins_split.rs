//! However a stream is split into batches, and wherever the query is started again, it gives the same rows in the end: those
//! of the same query over static tables.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::tempdir;

use super::streams::{Query, Row, rows_of_static};
use crate::Step;
use crate::operators::dedup::Remember;

const RANGE: &str = "b.ts BETWEEN a.ts - INTERVAL 5 SECONDS AND a.ts + INTERVAL 20 SECONDS";

/// Later than every other row by more than any of them waits; `v` tells it from them.
const LAST: Row = Row { k: Some("last"), second: 1_000, v: -1 };
const AFTER_LAST: Row = Row { k: Some("last of all"), second: 2_000, v: -1 };

fn queries() -> Vec<String> {
    let mut queries: Vec<_> = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
        .iter()
        .flat_map(|join| {
            [
                format!("SELECT a.k, a.ts, a.v, b.k AS kk, b.ts AS tt, b.v AS w FROM a {join} b ON a.k = b.k AND {RANGE}"),
                format!("SELECT a.k, a.ts, a.v, b.v AS w FROM a {join} b ON a.k = b.k AND a.ts = b.ts AND a.v < b.v"),
            ]
        })
        .collect();
    queries.push(format!(
        "SELECT a.k, a.ts, a.v FROM a LEFT SEMI JOIN b ON a.k = b.k AND {RANGE} AND a.v <> b.v"
    ));
    queries.push(format!(
        "SELECT window(a.ts, '10 seconds') AS t, count(*) AS n, count(b.v) AS m FROM a LEFT JOIN b \
         ON a.k = b.k AND {RANGE} GROUP BY window(a.ts, '10 seconds')"
    ));
    queries
}

/// Rows whose times grow, with the side that each is on and whether a piece ends behind it.
fn rows() -> impl Strategy<Value = Vec<(bool, Row, bool)>> {
    let row = (
        any::<bool>(),
        prop::sample::select(vec!["x", "y", "z"]),
        0..6_i64,
        0..5_i32,
        prop::bool::weighted(0.3),
    );
    prop::collection::vec(row, 0..30).prop_map(|rows| {
        let mut second = 0;
        let rows = rows.into_iter().map(|(left, k, step, v, ends)| {
            second += step;
            (left, Row { k: Some(k), second, v }, ends)
        });
        rows.collect()
    })
}

type Pieces = Vec<(Vec<Row>, Vec<Row>)>;

fn pieces(rows: &[(bool, Row, bool)]) -> Pieces {
    let mut pieces = vec![(Vec::new(), Vec::new())];
    for (left, row, ends) in rows {
        let (a, b) = pieces.last_mut().unwrap();
        if *left { a } else { b }.push(row.clone());
        if *ends {
            pieces.push((Vec::new(), Vec::new()));
        }
    }
    for last in [LAST, AFTER_LAST] {
        pieces.push((vec![last.clone()], vec![last]));
    }
    pieces
}

fn side(pieces: &Pieces, of: impl Fn(&(Vec<Row>, Vec<Row>)) -> &Vec<Row>) -> Vec<Row> {
    pieces.iter().flat_map(|piece| of(piece).clone()).collect()
}

/// What is about the rows that only move the watermark is left out.
fn compared(rows: impl IntoIterator<Item = String>) -> Vec<String> {
    let moves_the_watermark =
        |row: &String| [":-1", "T10:16:", "T10:33:"].iter().any(|text| row.contains(text));
    let mut rows: Vec<_> = rows.into_iter().filter(|row| !moves_the_watermark(row)).collect();
    rows.sort();
    rows
}

async fn started_again(sql: &str, pieces: &Pieces) -> Vec<String> {
    let (query, checkpoint) = (Query::new(sql), tempdir().unwrap());
    let mut rows = Vec::new();
    for (a, b) in pieces {
        query.a.put(a);
        query.b.put(b);
        rows.extend(query.run(checkpoint.path()).await.into_iter().flat_map(|batch| batch.rows));
    }
    compared(rows)
}

async fn in_one_run(sql: &str, pieces: &Pieces) -> Vec<String> {
    let (mut query, checkpoint) = (Query::new(sql), tempdir().unwrap());
    (query.a.one_by_one, query.b.one_by_one) = (true, true);
    for (a, b) in pieces {
        query.a.put(a);
        query.b.put(b);
    }
    compared(query.run(checkpoint.path()).await.into_iter().flat_map(|batch| batch.rows))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_split_gives_the_rows_of_the_static_join(sql in prop::sample::select(queries()), rows in rows()) {
        let pieces = pieces(&rows);
        let (a, b) = (side(&pieces, |piece| &piece.0), side(&pieces, |piece| &piece.1));
        block_on(async {
            let expected = compared(rows_of_static(&sql, &a, &b).await);
            prop_assert_eq!(started_again(&sql, &pieces).await, expected.clone(), "started again: {}", sql);
            prop_assert_eq!(in_one_run(&sql, &pieces).await, expected, "in one run: {}", sql);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_condition_on_one_side_with_a_constant_keeps_nothing_for_ever() {
    let sql = format!("SELECT a.k, a.v, b.v AS w FROM a LEFT JOIN b ON a.k = b.k AND {RANGE} AND a.v > 3");
    let rows = [(true, 1, 2), (true, 2, 9), (false, 3, 7)]
        .map(|(left, second, v)| (left, Row { k: Some("x"), second, v }, true));
    let given = started_again(&sql, &pieces(&rows)).await;
    assert_eq!(given, [r#"{"k":"x","v":2}"#, r#"{"k":"x","v":9,"w":7}"#]);
}

/// The rows of each batch, where a batch that ran again counts with what it gave the last time.
async fn batches(
    mut query: Query,
    pieces: &Pieces,
    crash: Option<(u64, Step)>,
) -> BTreeMap<u64, Vec<String>> {
    let checkpoint = tempdir().unwrap();
    (query.a.one_by_one, query.b.one_by_one) = (true, true);
    for (a, b) in pieces {
        query.a.put(a);
        query.b.put(b);
    }
    let mut batches = BTreeMap::new();
    for crash in crash.map(Some).into_iter().chain([None]) {
        query.crash = crash;
        batches.extend(query.run(checkpoint.path()).await.into_iter().map(|batch| (batch.id, batch.rows)));
    }
    batches
}

#[tokio::test]
async fn a_batch_that_is_cut_off_anywhere_gives_the_same_rows_when_it_runs_again() {
    let rows = (0..24).map(|place| {
        let pair = place / 2;
        let k = ["x", "y", "z"].get(pair % 3).copied();
        (place % 2 == 0, Row { k, second: pair as i64 * 3, v: place as i32 % 5 }, place % 4 == 3)
    });
    let pieces = pieces(&rows.collect::<Vec<_>>());
    let dedup = (vec!["k".to_owned()], Remember::WithinWatermark, "a".to_owned());
    let dedup = Query { dedup: Some(dedup), ..Query::new("SELECT k, ts, v FROM d") };
    for query in queries().iter().map(|sql| Query::new(sql)).chain([dedup]) {
        let expected = batches(query.clone(), &pieces, None).await;
        assert!(expected.values().any(|rows| !rows.is_empty()), "{}", query.sql);
        for step in [Step::OffsetsLogged, Step::StateWritten, Step::RowsWritten] {
            let query = Query { a: Default::default(), b: Default::default(), ..query.clone() };
            assert_eq!(
                batches(query.clone(), &pieces, Some((2, step))).await,
                expected,
                "{step:?}: {}",
                query.sql
            );
        }
    }
}
