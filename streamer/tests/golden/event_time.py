"""Asks PySpark 4.1.1 what the queries of tests/engine/event_time.rs give, batch by batch, and writes event_time.json.

usage: python event_time.py > event_time.json      (pip install pyspark==4.1.1, Java 17)
"""

import json
import os
import tempfile

from pyspark.sql import SparkSession

# Seconds after 2026-01-01, key, value; a batch a line.
BATCHES = [
    [(1, "a", 1), (4, "a", 2), (12, "b", 5), (25, "a", 7)],
    [(9, "a", 3), (30, "a", 1), (35, "a", 1), (50, "b", 2)],
    [(2, "a", 100), (38, "b", 1), (80, "a", 4), (None, "b", 9)],
    [(81, "c", 1), (75, "a", 1), (72, None, 2), (60, "b", 3)],
    [(130, "a", 1), (131, "a", 2), (132, "c", 2), (133, "b", 2)],
]
STREAM = "FROM STREAM v WATERMARK ts DELAY OF INTERVAL 10 SECONDS"
FIVE = f"(SELECT window, k, count(*) AS c {STREAM} GROUP BY window(ts, '5 seconds'), k)"
QUERIES = [
    ("append", f"SELECT window, k, count(*) AS n, sum(v) AS s {STREAM} GROUP BY window(ts, '10 seconds'), k"),
    ("update", f"SELECT window, k, count(*) AS n, sum(v) AS s {STREAM} GROUP BY window(ts, '10 seconds'), k"),
    ("complete", f"SELECT window, k, count(*) AS n {STREAM} GROUP BY window(ts, '10 seconds'), k"),
    ("append", f"SELECT window.start AS st, window.end AS en, avg(v) AS a {STREAM} GROUP BY window(ts, '10 seconds', '5 seconds')"),
    ("update", f"SELECT window.start AS st, count(*) AS n {STREAM} GROUP BY window(ts, '10 seconds', '4 seconds')"),
    ("append", f"SELECT window(ts, '10 seconds', '10 seconds', '3 seconds') AS w, max(k) AS k {STREAM} GROUP BY 1"),
    ("append", f"SELECT session_window.start, session_window.end, k, count(*) AS n, sum(v) AS s {STREAM} GROUP BY session_window(ts, '5 seconds'), k"),
    ("complete", f"SELECT session_window, k, count(*) AS n {STREAM} GROUP BY session_window(ts, '5 seconds'), k"),
    ("append", f"SELECT session_window, k, count(*) AS n {STREAM} GROUP BY session_window(ts, CASE WHEN k = 'a' THEN '5 seconds' ELSE '20 seconds' END), k"),
    ("append", f"SELECT window(window, '10 seconds') AS w, count(*) AS n, sum(c) AS c FROM {FIVE} GROUP BY window(window, '10 seconds')"),
    ("append", f"SELECT window(window_time(window), '10 seconds') AS w, sum(c) AS c FROM {FIVE} GROUP BY w"),
    ("append", f"SELECT window, count(*) AS n FROM {FIVE} GROUP BY window"),
    ("append", f"SELECT ts, count(*) AS n {STREAM} GROUP BY ts"),
    ("append", f"SELECT DISTINCT ts, k {STREAM}"),
    ("append", f"SELECT window(ts, '10 seconds', '5 seconds') AS w, k {STREAM}"),
    ("append", f"SELECT k, v {STREAM} WHERE v > 1"),
    ("append", f"SELECT window, count(*) AS n FROM (SELECT * {STREAM}) WHERE k = 'a' GROUP BY window(ts, '10 seconds') HAVING count(*) > 1"),
    ("update", f"SELECT session_window, k, count(*) AS n {STREAM} GROUP BY session_window(ts, '5 seconds'), k"),
    ("update", f"SELECT window, count(*) AS n FROM {FIVE} GROUP BY window"),
    ("append", f"SELECT DISTINCT k {STREAM}"),
    ("append", f"SELECT k, count(*) AS n {STREAM} GROUP BY k"),
    ("append", "SELECT window, count(*) AS n FROM STREAM v GROUP BY window(ts, '10 seconds')"),
]


def time(seconds):
    return None if seconds is None else f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}.000Z"


def write(folder):
    for number, rows in enumerate(BATCHES):
        path = os.path.join(folder, f"{number}.json")
        with open(path, "w") as file:
            for seconds, key, value in rows:
                file.write(json.dumps({"ts": time(seconds), "k": key, "v": value}) + "\n")
        os.utime(path, (1_700_000_000 + number,) * 2)


def run(spark, folder, mode, sql):
    rows = []

    def keep(frame, batch):
        rows.append(sorted(frame.toJSON().collect()))

    stream = spark.readStream.schema("ts TIMESTAMP, k STRING, v INT").option("maxFilesPerTrigger", 1)
    stream.json(folder).createOrReplaceTempView("v")
    answer = {"mode": mode, "sql": sql}
    try:
        writer = spark.sql(sql).writeStream.outputMode(mode).foreachBatch(keep).trigger(availableNow=True)
        query = writer.start()
        query.awaitTermination()
    except Exception as error:
        return answer | {"refused": str(error).split(";")[0].split("\n")[0]}
    progress = [json.loads(p.json) for p in query.recentProgress]
    operators = [
        [
            [o["operatorName"], o["numRowsTotal"], o["numRowsUpdated"], o["numRowsRemoved"], o["numRowsDroppedByWatermark"]]
            for o in p["stateOperators"]
        ]
        for p in progress
    ]
    batches = zip(rows, progress, operators)
    return answer | {"batches": [{"rows": r, "eventTime": p.get("eventTime"), "operators": o} for r, p, o in batches]}


spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.session.timeZone", "UTC")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
with tempfile.TemporaryDirectory() as folder:
    write(folder)
    answers = [run(spark, folder, mode, sql) for mode, sql in QUERIES]
    lines = [[json.dumps({"ts": time(s), "k": k, "v": v}) for s, k, v in rows] for rows in BATCHES]
    print(json.dumps({"spark": spark.version, "input": lines, "queries": answers}, indent=1))
