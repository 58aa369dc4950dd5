//! Expressions and queries beside what Spark 4.1.1 answers in the zone Europe/Berlin (`make.py`). Those that differ are listed in
//! `differences.txt`: the list is to become shorter, and a test fails when it is not true any more.

mod mutations;

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::SparkSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde_json::{Value, json};

use crate::conf::Conf;
use crate::format::json::JsonFormat;
use crate::operators::time_window::plan_windows;
use crate::output_mode;
use crate::schema::catalog_type;
use crate::session::{Frame, Session, with_spark_literals};

/// Expressions whose value, or whose error, is another one here.
const DIFFERENCES: &str = include_str!("differences.txt");

/// Expression, its value as `to_json(struct(… AS x))` and its type, or `ERR` and how the message begins.
const EXPRESSIONS: &str = include_str!("expressions.jsonl");
const AGGREGATES: &str = include_str!("aggregates.jsonl");

/// Query, its columns with their types, and its rows as JSON, sorted.
const QUERIES: &str = include_str!("queries.jsonl");

const ROW: &str = "SELECT 12 AS n, 3000000000 AS big, CAST(2.5 AS DOUBLE) AS d, 'Hello World' AS s, CAST(NULL AS STRING) AS \
                   nul, array(3,1,2) AS arr, map('k',1,'l',2) AS m, CAST('2026-11-27 11:05:06.123456' AS TIMESTAMP) AS ts, \
                   CAST('2026-11-27' AS DATE) AS dt, X'78797a' AS bin, true AS b, CAST('12.345' AS \
                   DECIMAL(10,3)) AS `dec`, named_struct('a',1,'b','x','c',CAST(NULL AS INT)) AS st";

const ROWS: &str = "SELECT column1 AS x, CAST(column2 AS DOUBLE) AS d, CAST(column3 AS DECIMAL(3,2)) AS `dec`, column4 AS s, \
                    column5 AS big FROM (VALUES (1, 1.5, '1.25', 'a', 9000000000), (2, 2.5, '2.25', 'b', 9000000000), (2, \
                    3.5, '3.5', 'c', 1), (4, -1.0, '0.5', 'd', 2), (NULL, NULL, NULL, NULL, NULL))";

/// The rows of a table, without Spark's syntax.
async fn rows(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    let mut statements = Parser::parse_sql(&SparkSqlDialect, sql)?;
    let statement = Statement::Statement(Box::new(statements.remove(0)));
    let plan = context.state().statement_to_plan(statement).await?;
    context.execute_logical_plan(with_spark_literals(plan)?).await?.collect().await
}

/// Answers a query over tables, with its columns and its sorted rows.
async fn answer(tables: &[(&str, &Frame)], query: &str) -> Result<Value, String> {
    let frame = Frame::select(query, tables).map_err(|error| error.to_string())?;
    output_mode::refuse_window_functions(&frame.plan).map_err(|error| error.to_string())?;
    let (names, zone) = (frame.names, frame.zone);
    let rows = frame
        .context
        .execute_logical_plan(plan_windows(frame.plan).map_err(|error| error.to_string())?)
        .await;
    let rows = rows.map_err(|error| error.strip_backtrace())?;
    let types: Vec<_> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let batches = rows.collect().await.map_err(|error| error.strip_backtrace())?;
    let format = JsonFormat::new(zone);
    let places: Vec<_> = (0..names.len()).map(|place| format!("c{place}")).collect();
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let mut json = String::new();
            let columns = places.iter().map(String::as_str);
            format.write_row(&mut json, columns, batch.columns(), row).map_err(|error| error.to_string())?;
            lines.push(json);
        }
    }
    lines.sort();
    // What it is after the analysis, where there are rows.
    let types = batches
        .first()
        .map_or(types, |batch| batch.columns().iter().map(|column| column.data_type().clone()).collect());
    let columns: Vec<_> = names.into_iter().zip(types.iter().map(catalog_type)).collect();
    Ok(json!([columns, lines]))
}

/// Answers an expression over a table as a query does, with value and type.
async fn evaluate(table: &Frame, expression: &str) -> Result<(String, String), String> {
    let select = Frame::select(&format!("SELECT {expression} AS x FROM t"), &[("t", table)]);
    let plan = select.map_err(|error| error.to_string())?.plan;
    let rows = table.context.execute_logical_plan(plan).await.map_err(|error| error.strip_backtrace())?;
    let batches = rows.collect().await.map_err(|error| error.strip_backtrace())?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).ok_or("no row")?;
    let mut json = String::new();
    let format = JsonFormat::new(table.zone);
    format.write_row(&mut json, ["x"].into_iter(), batch.columns(), 0).map_err(|error| error.to_string())?;
    Ok((json, catalog_type(batch.column(0).data_type())))
}

async fn table(name: &str, sql: &str) -> Frame {
    let mut conf = Conf::default();
    conf.set("spark.sql.session.timeZone", "Europe/Berlin").unwrap();
    let session = Session::new(conf.clone()).unwrap();
    let context = session.context().unwrap();
    let rows = rows(&context, sql).await.unwrap();
    let schema = rows[0].schema();
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let table = Arc::new(MemTable::try_new(schema, vec![rows]).unwrap());
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None).unwrap().build().unwrap();
    let zone = session.time_zone();
    Frame { context, conf, zone, plan, streams: Vec::new(), reads: Vec::new(), malformed: Vec::new(), names }
}

async fn check(golden: &str, rows: &str) {
    let table = table("t", rows).await;
    let mut differences: Vec<String> = Vec::new();
    for line in golden.lines() {
        let (expression, expected, told): (String, String, String) = serde_json::from_str(line).unwrap();
        let found = evaluate(&table, &expression).await;
        let agrees = match &found {
            Ok((value, data_type)) => *value == expected && *data_type == told,
            Err(message) => expected == "ERR" && message.contains(&told),
        };
        let is_listed = DIFFERENCES.lines().any(|listed| listed == expression);
        if agrees == is_listed {
            let what = if agrees { "does not differ any more" } else { "differs" };
            differences.push(format!("{what}: {line}\n  is {found:?}"));
        }
    }
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn expressions_are_what_they_are_in_spark() {
    check(EXPRESSIONS, ROW).await;
}

#[tokio::test]
async fn aggregates_are_what_they_are_in_spark() {
    check(AGGREGATES, ROWS).await;
}

#[tokio::test]
async fn queries_give_what_they_give_in_spark() {
    let t = table("t", ROWS).await;
    let u = "SELECT column1 AS x, column2 AS name FROM (VALUES (1, 'one'), (2, 'two'), (3, 'three'))";
    let u = table("u", u).await;
    let mut differences: Vec<String> = Vec::new();
    for line in QUERIES.lines() {
        let (query, columns, rows): (String, Value, Value) = serde_json::from_str(line).unwrap();
        let found = answer(&[("t", &t), ("u", &u)], &query).await;
        let agrees = match &found {
            Ok(found) => *found == json!([columns, rows]),
            Err(message) => columns == "ERR" && message.contains(rows.as_str().unwrap()),
        };
        let is_listed = DIFFERENCES.lines().any(|listed| listed == query);
        if agrees == is_listed {
            let what = if agrees { "does not differ any more" } else { "differs" };
            differences.push(format!(
                "{what}: {line}\n  is {}",
                found.map_or_else(|error| error, |found| found.to_string())
            ));
        }
    }
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
}
