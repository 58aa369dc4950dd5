//! How often, and for which fields, a query parses its texts.

use std::sync::Arc;

use datafusion::arrow::array::{BinaryArray, RecordBatch};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{LogicalPlan, ScalarUDFImpl};
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionContext;

use super::prune::{parse_of, prune_json};
use crate::conf::Conf;
use crate::schema::catalog_type;
use crate::session::Session;

const SCHEMA: &str = "'a INT, b STRING, c INT, d STRUCT<e: INT, f: INT>, ts TIMESTAMP'";

fn context() -> SessionContext {
    let mut conf = Conf::default();
    conf.set("spark.sql.session.timeZone", "UTC").unwrap();
    let context = Session::new(conf).unwrap().context().unwrap();
    let records: [&[u8]; 4] = [
        br#"{"a":1,"b":"x","c":6,"d":{"e":1,"f":2}}"#,
        br#"{"a":2,"b":"y","c":7,"d":{"e":3,"f":4}}"#,
        br#"{"a":3,"b":"z","c":1}"#,
        b"broken",
    ];
    let values = BinaryArray::from_iter_values(records);
    let batch = RecordBatch::try_from_iter([("value", Arc::new(values) as _)]).unwrap();
    context.register_batch("t", batch).unwrap();
    context
}

/// The types of all that is parsed in the plan.
fn parsed(plan: &LogicalPlan) -> Vec<String> {
    let mut types = Vec::new();
    plan.apply(|node| {
        for expr in node.expressions() {
            expr.apply(|expr| {
                types.extend(parse_of(expr).map(|parse| catalog_type(&parse.return_type(&[]).unwrap())));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    types
}

async fn check(sql: &str, types: &[&str], rows: &[&str]) {
    let context = context();
    let sql = sql.replace("SCHEMA", SCHEMA);
    let plan = context.state().create_logical_plan(&sql).await.unwrap();
    let optimized = context.state().optimize(&plan).unwrap();
    let pruned = prune_json(optimized).unwrap();
    assert_eq!(parsed(&pruned), types, "{sql}\n{pruned}");
    let physical = context.state().create_physical_plan(&plan).await.unwrap();
    let shown = displayable(physical.as_ref()).indent(false).to_string();
    assert_eq!(shown.matches("from_json(").count(), types.len(), "{sql}\n{shown}");
    let batches = collect(physical, context.task_ctx()).await.unwrap();
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let found: Vec<_> = table.lines().filter(|line| line.starts_with('|')).skip(1).collect();
    let found: Vec<_> =
        found.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(found, rows, "{sql}\n{shown}");
}

#[tokio::test]
async fn a_filter_and_a_projection_parse_once_and_only_what_they_use() {
    let sql =
        "SELECT j.a, j.b FROM (SELECT from_json(CAST(value AS STRING), SCHEMA) AS j FROM t) WHERE j.c > 5";
    check(sql, &["struct<a:int,b:string,c:int>"], &["| 1 | x |", "| 2 | y |"]).await;
    let sql = "WITH v AS (SELECT from_json(CAST(value AS STRING), SCHEMA) AS j FROM t) SELECT v.j.d.e AS e FROM v WHERE \
               v.j.c > 5 AND v.j.a < 2";
    check(sql, &["struct<a:int,c:int,d:struct<e:int,f:int>>"], &["| 1 |"]).await;
}

#[tokio::test]
async fn parts_of_a_filter_that_parse_nothing_come_first() {
    let sql = "SELECT j.a FROM (SELECT value, from_json(CAST(value AS STRING), SCHEMA) AS j FROM t) WHERE j.c > 5 AND \
               value IS NOT NULL";
    check(sql, &["struct<a:int,c:int>"], &["| 1 |", "| 2 |"]).await;
}

#[tokio::test]
async fn an_aggregation_parses_once_and_only_what_it_uses() {
    let sql = "SELECT j.b AS k, sum(j.a) AS s, count(*) AS n FROM (SELECT from_json(CAST(value AS STRING), SCHEMA) AS j \
               FROM t) GROUP BY j.b HAVING sum(j.a) > 1 ORDER BY k";
    check(sql, &["struct<a:int,b:string>"], &["| y | 2 | 1 |", "| z | 3 | 1 |"]).await;
    let sql = "SELECT sum(j.a) AS s FROM (SELECT from_json(CAST(value AS STRING), SCHEMA) AS j FROM t) WHERE j.c > 5";
    check(sql, &["struct<a:int,c:int>"], &["| 3 |"]).await;
}

#[tokio::test]
async fn a_value_that_is_used_whole_is_parsed_whole() {
    let whole = "struct<a:int,b:string,c:int,d:struct<e:int,f:int>,ts:timestamp>";
    let sql = "SELECT j.a, j IS NULL AS n FROM (SELECT from_json(CAST(value AS STRING), SCHEMA) AS j FROM t) WHERE j.a = 3";
    check(sql, &[whole], &["| 3 | false |"]).await;
}

#[tokio::test]
async fn options_that_look_at_whole_records_parse_them_whole() {
    let sql = "SELECT j.bad FROM (SELECT from_json(CAST(value AS STRING), 'a INT, bad STRING', \
               map('columnNameOfCorruptRecord', 'bad')) AS j FROM t) WHERE j.bad IS NOT NULL";
    check(sql, &["struct<a:int,bad:string>"], &["| broken |"]).await;
}
