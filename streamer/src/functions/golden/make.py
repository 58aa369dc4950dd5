"""Asks PySpark 4.1.1 for the value of each expression in expressions.jsonl and aggregates.jsonl, and for the rows of each query
in queries.jsonl, and writes them there.

usage: python make.py      (pip install pyspark==4.1.1, Java 17)

A line is [expression, value as to_json(struct(... AS x)), its type], or [expression, "ERR", how the message of the error
begins]. To add an expression, write a line with two empty texts behind it. A line of queries.jsonl is [query, [[column, type],
…], [row as to_json(struct(…)) with the columns c0, c1 …, …]], its rows sorted, or [query, "ERR", how the message begins].
"""

import json
import os

from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "Europe/Berlin")
    .config("spark.sql.shuffle.partitions", "1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
ROW = """SELECT 12 AS n, 3000000000 AS big, CAST(2.5 AS DOUBLE) AS d, 'Hello World' AS s, CAST(NULL AS STRING) AS nul,
array(3,1,2) AS arr, map('k',1,'l',2) AS m, TIMESTAMP'2026-11-27 11:05:06.123456' AS ts, DATE'2026-11-27' AS dt,
CAST('xyz' AS BINARY) AS bin, true AS b, CAST(12.345 AS DECIMAL(10,3)) AS dec,
named_struct('a',1,'b','x','c',CAST(NULL AS INT)) AS st"""
ROWS = """SELECT * FROM VALUES (1, 1.5D, 1.25BD, 'a', 9000000000L), (2, 2.5D, 2.25BD, 'b', 9000000000L),
(2, 3.5D, 3.5BD, 'c', 1L), (4, -1.0D, 0.5BD, 'd', 2L), (NULL, NULL, NULL, NULL, NULL) AS t(x, d, dec, s, big)"""


def answer(expression):
    try:
        answer = spark.sql(f"SELECT {expression} AS x FROM t")
        row = answer.selectExpr("to_json(struct(x)) AS json").collect()[0]
        return [expression, row.json, answer.schema[0].dataType.simpleString()]
    except Exception as error:
        message = str(error)
        return [expression, "ERR", message[: message.find("]") + 1]]


for name, table in [("expressions", ROW), ("aggregates", ROWS)]:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.jsonl")
    spark.sql(table).createOrReplaceTempView("t")
    with open(path) as file:
        expressions = [json.loads(line)[0] for line in file]
    with open(path, "w") as file:
        for expression in expressions:
            file.write(json.dumps(answer(expression), ensure_ascii=False) + "\n")


def rows(query):
    try:
        answer = spark.sql(query)
        columns = [[field.name, field.dataType.simpleString()] for field in answer.schema]
        answer = answer.toDF(*[f"c{place}" for place in range(len(columns))])
        return [query, columns, sorted(row.json for row in answer.selectExpr("to_json(struct(*)) AS json").collect())]
    except Exception as error:
        message = str(error)
        return [query, "ERR", message[: message.find("]") + 1].strip()]


path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "queries.jsonl")
spark.sql(ROWS).createOrReplaceTempView("t")
spark.sql("SELECT * FROM VALUES (1, 'one'), (2, 'two'), (3, 'three') AS u(x, name)").createOrReplaceTempView("u")
with open(path) as file:
    queries = [json.loads(line)[0] for line in file]
with open(path, "w") as file:
    for query in queries:
        file.write(json.dumps(rows(query), ensure_ascii=False) + "\n")
