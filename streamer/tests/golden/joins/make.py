"""Asks a real Spark 4.1.1 what joins and deduplication give, batch by batch, and which of them it refuses.

    python make.py results.json refusals.json [name of a case …]

Each step of a case is one run with the trigger `availableNow` over the same checkpoint: a batch with the step's rows and,
where the watermark has moved, one without. The inputs are made by a seeded generator.
"""
import json
import os
import random
import shutil
import sys
import tempfile

from pyspark.sql import SparkSession

SCHEMA = "k STRING, ts TIMESTAMP, v INT"
RANGE = "b.ts BETWEEN a.ts - INTERVAL 5 SECONDS AND a.ts + INTERVAL 20 SECONDS"
WINDOWED = "(SELECT window(ts, '10 seconds') AS w, k, v FROM {0}) {0}"
COUNTED = "(SELECT window(ts, '10 seconds') AS w, k, count(*) AS n FROM {0} GROUP BY window(ts, '10 seconds'), k) {0}"
ON_RANGE = f"b ON a.k = b.k AND {RANGE}"

# name -> query over the streams a, b (watermark of 10 seconds), c (none) and the static table s(k, name)
QUERIES = {
    "inner": "SELECT a.k, a.v, b.v AS w FROM a JOIN b ON a.k = b.k",
    "inner_range": f"SELECT a.k, a.ts, a.v, b.ts AS tt, b.v AS w FROM a JOIN {ON_RANGE}",
    "inner_one_sided_range": "SELECT a.k, a.v, b.v AS w FROM a JOIN b ON a.k = b.k AND b.ts > a.ts",
    "inner_range_without_a_watermark": "SELECT a.k, a.v, c.v AS w FROM a JOIN c ON a.k = c.k "
    "AND c.ts BETWEEN a.ts AND a.ts + INTERVAL 10 SECONDS",
    "inner_expression_keys": f"SELECT a.k, a.v, b.v AS w FROM a JOIN b ON a.v + 1 = b.v AND {RANGE}",
    "inner_using": "SELECT k, ts, a.v, b.v AS w FROM a JOIN b USING (k, ts)",
    "inner_null_safe": f"SELECT a.k, a.v, b.v AS w FROM a JOIN b ON a.k <=> b.k AND {RANGE}",
    "left_range": f"SELECT a.k, a.ts, a.v, b.v AS w FROM a LEFT JOIN {ON_RANGE}",
    "right_range": f"SELECT b.k, a.v, b.ts, b.v AS w FROM a RIGHT JOIN {ON_RANGE}",
    "full_range": f"SELECT a.k, a.ts, a.v, b.k AS kk, b.ts AS tt, b.v AS w FROM a FULL JOIN {ON_RANGE}",
    "semi_range": f"SELECT a.k, a.ts, a.v FROM a LEFT SEMI JOIN {ON_RANGE}",
    "inner_time": "SELECT a.k, a.ts, a.v, b.v AS w FROM a JOIN b ON a.k = b.k AND a.ts = b.ts",
    "left_time": "SELECT a.k, a.ts, a.v, b.v AS w FROM a LEFT JOIN b ON a.k = b.k AND a.ts = b.ts",
    "semi_time": "SELECT a.k, a.ts, a.v FROM a LEFT SEMI JOIN b ON a.k = b.k AND a.ts = b.ts",
    "full_window": f"SELECT a.w, b.w AS ww, a.k, b.k AS kk, a.v, b.v AS w2 FROM {WINDOWED.format('a')} "
    f"FULL JOIN {WINDOWED.format('b')} ON a.w = b.w AND a.k = b.k",
    "inner_window": f"SELECT a.w, a.k, a.v, b.v AS w2 FROM {WINDOWED.format('a')} "
    f"JOIN {WINDOWED.format('b')} ON a.w = b.w AND a.k = b.k",
    "left_one_side_conditions": f"SELECT a.k, a.ts, a.v, b.v AS w FROM a LEFT JOIN {ON_RANGE} AND a.v <> 4 AND b.v <> 6",
    "full_one_side_conditions": "SELECT a.k, a.ts, a.v, b.k AS kk, b.ts AS tt, b.v AS w FROM a "
    f"FULL JOIN {ON_RANGE} AND a.v <> 4 AND b.v <> 6",
    "left_other_condition": f"SELECT a.k, a.ts, a.v, b.v AS w FROM a LEFT JOIN {ON_RANGE} AND a.v < b.v",
    "inner_then_where": f"SELECT a.k, a.v, b.v AS w FROM a JOIN {ON_RANGE} WHERE a.v > 2 AND a.v + b.v > 6",
    "self_union": "SELECT window(ts, '10 seconds') AS w, count(*) AS n FROM "
    "(SELECT * FROM a UNION ALL SELECT * FROM b) GROUP BY window(ts, '10 seconds')",
    "count_of_inner": "SELECT window(a.ts, '10 seconds') AS w, count(*) AS n, sum(b.v) AS s FROM a "
    f"JOIN {ON_RANGE} GROUP BY window(a.ts, '10 seconds')",
    "count_of_left": "SELECT window(a.ts, '10 seconds') AS w, count(*) AS n, count(b.v) AS m FROM a "
    f"LEFT JOIN {ON_RANGE} GROUP BY window(a.ts, '10 seconds')",
    "join_of_counts": f"SELECT a.w, a.k, a.n, b.n AS m FROM {COUNTED.format('a')} "
    f"JOIN {COUNTED.format('b')} ON a.w = b.w AND a.k = b.k",
    "window_of_windows": f"SELECT window(a.w, '30 seconds') AS ww, sum(n) AS n, count(*) AS m FROM {COUNTED.format('a')} "
    "GROUP BY window(a.w, '30 seconds')",
    "static_inner": "SELECT a.k, a.v, s.name FROM a JOIN s ON a.k = s.k",
    "static_inner_first": "SELECT a.k, a.v, s.name FROM s JOIN a ON a.k = s.k",
    "static_left": "SELECT a.k, a.v, s.name FROM a LEFT JOIN s ON a.k = s.k AND a.v > 4",
    "static_right": "SELECT a.k, a.v, s.name FROM s RIGHT JOIN a USING (k)",
    "static_semi": "SELECT /*+ BROADCAST(s) */ a.k, a.v FROM a LEFT SEMI JOIN s ON a.k = s.k",
    "static_anti": "SELECT a.k, a.v FROM a LEFT ANTI JOIN s ON a.k = s.k",
    "static_other_condition": "SELECT a.k, a.v, s.name FROM a JOIN s ON a.v < length(s.name)",
    "static_cross": "SELECT a.k, s.name FROM a CROSS JOIN s",
    "static_aggregated": "SELECT a.k, a.v, t.n FROM a LEFT JOIN (SELECT k, count(*) AS n FROM s GROUP BY k) t ON a.k = t.k",
    "static_empty": "SELECT a.k, a.v, t.name FROM a JOIN (SELECT * FROM s WHERE k = 'none') t ON a.k = t.k",
    "static_of_counts": f"SELECT a.w, a.k, a.n, s.name FROM {COUNTED.format('a')} JOIN s ON a.k = s.k",
    "max_policy": f"SELECT a.k, a.ts, a.v, b.v AS w FROM a LEFT JOIN {ON_RANGE}",
    "inner_three": "SELECT a.k, a.ts, b.v AS w, c.v AS x FROM a JOIN b ON a.k = b.k AND a.ts = b.ts "
    "JOIN c ON a.k = c.k AND c.ts = a.ts",
    "left_then_left": "SELECT a.k, a.ts, a.v, b.v AS w, c.v AS x FROM a LEFT JOIN b ON a.k = b.k AND a.ts = b.ts "
    "LEFT JOIN c ON a.k = c.k AND c.ts = a.ts",
    "union_max_policy": "SELECT window(ts, '10 seconds') AS w, count(*) AS n FROM "
    "(SELECT * FROM a UNION ALL SELECT * FROM b) GROUP BY window(ts, '10 seconds')",
    "semi_in_static": "SELECT k, v FROM c WHERE k IN (SELECT k FROM s)",
    "anti_in_static": "SELECT k, v FROM c WHERE k NOT IN (SELECT k FROM s WHERE k IS NOT NULL)",
    "exists_static": "SELECT k, v FROM c WHERE EXISTS (SELECT * FROM s WHERE s.k = c.k AND length(s.name) > 5)",
    "scalar_static": "SELECT k, v FROM a WHERE v > (SELECT count(*) FROM s)",
    "join_of_dedup": (f"SELECT a.k, a.ts, a.v, b.v AS w FROM d a LEFT JOIN {ON_RANGE}", ["k", "ts"], False),
    "static_of_dedup": ("SELECT d.k, d.ts, s.name FROM d JOIN s ON d.k = s.k", ["k"], True),
    "dedup_update": ("SELECT k, ts, v FROM d", ["k", "ts"], False),
    "count_of_dedup_update": (
        "SELECT window(ts, '10 seconds') AS w, count(*) AS n FROM d GROUP BY window(ts, '10 seconds')",
        ["k", "ts"],
        False,
    ),
    "static_update": "SELECT a.k, a.v, s.name FROM a JOIN s ON a.k = s.k",
    "dedup_key": ("SELECT k, ts, v FROM d", ["k"], False),
    "dedup_key_and_time": ("SELECT k, ts, v FROM d", ["k", "ts"], False),
    "dedup_key_alone_read": ("SELECT k FROM d", ["k"], False),
    "dedup_all": ("SELECT k, ts, v FROM d", ["k", "ts", "v"], False),
    "dedup_within": ("SELECT k, ts, v FROM d", ["k"], True),
    "dedup_within_key_alone_read": ("SELECT k FROM d", ["k"], True),
    "count_of_dedup": (
        "SELECT window(ts, '10 seconds') AS w, count(*) AS n FROM d GROUP BY window(ts, '10 seconds')",
        ["k", "ts"],
        False,
    ),
    "count_of_dedup_within": (
        "SELECT window(ts, '10 seconds') AS w, count(*) AS n FROM d GROUP BY window(ts, '10 seconds')",
        ["k"],
        True,
    ),
}

AGG = "SELECT window(ts, '10 seconds') AS w, k, count(*) AS n FROM a GROUP BY window(ts, '10 seconds'), k"
REFUSALS = [
    ("SELECT a.k FROM a JOIN b ON a.k = b.k", "update"),
    ("SELECT a.k FROM a JOIN b ON a.k = b.k", "complete"),
    ("SELECT a.k FROM a LEFT JOIN b ON a.k = b.k", "append"),
    ("SELECT a.k FROM a RIGHT JOIN b ON a.k = b.k", "append"),
    ("SELECT a.k FROM a FULL JOIN b ON a.k = b.k", "append"),
    ("SELECT a.k FROM a LEFT SEMI JOIN b ON a.k = b.k", "append"),
    ("SELECT a.k FROM a LEFT ANTI JOIN b ON a.k = b.k AND a.ts = b.ts", "append"),
    ("SELECT a.k FROM a LEFT JOIN c ON a.k = c.k AND c.ts > a.ts", "append"),
    ("SELECT a.k FROM a LEFT JOIN b ON a.k = b.k AND b.ts < a.ts", "append"),
    ("SELECT a.k FROM a LEFT JOIN b ON a.k = b.k AND b.ts > a.ts", "append"),
    ("SELECT a.k FROM a JOIN b ON a.ts < b.ts", "append"),
    ("SELECT a.k FROM a CROSS JOIN b", "append"),
    ("SELECT a.k FROM a LEFT JOIN b ON b.ts BETWEEN a.ts AND a.ts + INTERVAL 10 SECONDS", "append"),
    ("SELECT a.k FROM a FULL JOIN s ON a.k = s.k", "append"),
    ("SELECT a.k FROM s FULL JOIN a ON a.k = s.k", "append"),
    ("SELECT a.k FROM s LEFT JOIN a ON a.k = s.k", "append"),
    ("SELECT s.k FROM s LEFT SEMI JOIN a ON a.k = s.k", "append"),
    ("SELECT s.k FROM s LEFT ANTI JOIN a ON a.k = s.k", "append"),
    ("SELECT a.k FROM a RIGHT JOIN s ON a.k = s.k", "append"),
    ("SELECT a.k FROM a JOIN s ON a.k = s.k", "complete"),
    ("SELECT a.k FROM a JOIN s ON a.k = s.k", "update"),
    ("SELECT k FROM a UNION ALL SELECT k FROM s", "append"),
    ("SELECT k FROM a EXCEPT SELECT k FROM b", "append"),
    ("SELECT k FROM a EXCEPT ALL SELECT k FROM b", "append"),
    ("SELECT k FROM a INTERSECT SELECT k FROM b", "append"),
    ("SELECT k FROM a INTERSECT SELECT k FROM s", "append"),
    ("SELECT k FROM a WHERE k IN (SELECT k FROM b)", "append"),
    ("SELECT k FROM a WHERE k IN (SELECT k FROM s)", "append"),
    ("SELECT k FROM a WHERE EXISTS (SELECT * FROM s WHERE s.k = a.k)", "append"),
    ("SELECT k FROM a WHERE k NOT IN (SELECT k FROM s)", "append"),
    ("SELECT k FROM a WHERE v > (SELECT count(*) FROM s)", "append"),
    ("SELECT k FROM s WHERE k IN (SELECT k FROM a)", "append"),
    (f"SELECT k, count(*) FROM ({AGG}) GROUP BY k", "append"),
    (f"SELECT k, count(*) FROM ({AGG}) GROUP BY k", "update"),
    (f"SELECT k, count(*) FROM ({AGG}) GROUP BY k", "complete"),
    (f"SELECT window(w, '1 minute') AS x, count(*) FROM ({AGG}) GROUP BY window(w, '1 minute')", "update"),
    (f"SELECT DISTINCT n FROM ({AGG})", "update"),
    (f"SELECT x.k FROM ({AGG}) x JOIN b ON x.k = b.k", "append"),
    (f"SELECT x.k FROM ({AGG}) x JOIN b ON x.k = b.k", "update"),
    (f"SELECT x.k FROM ({AGG}) x JOIN s ON x.k = s.k", "update"),
    ("SELECT k FROM a OFFSET 1", "append"),
    ("SELECT k, count(*) FROM a GROUP BY GROUPING SETS ((k), ())", "complete"),
    ("SELECT k, count(*) FROM a GROUP BY ROLLUP (k)", "update"),
    ("SELECT a.k, count(*) FROM a JOIN b ON a.k = b.k GROUP BY a.k", "complete"),
    ("SELECT a.k, count(*) FROM a JOIN b ON a.k = b.k GROUP BY a.k", "append"),
    # with duplicates dropped: (query, mode, columns, within the watermark, stream)
    ("SELECT * FROM d", "append", ["k"], True, "c"),
    ("SELECT * FROM d", "update", ["k"], True, "a"),
    ("SELECT * FROM d", "update", ["k"], False, "a"),
    ("SELECT * FROM d", "complete", ["k"], False, "a"),
    ("SELECT k, count(*) FROM d GROUP BY k", "complete", ["k", "ts"], False, "a"),
    ("SELECT k, count(*) FROM d GROUP BY k", "update", ["k", "ts"], False, "a"),
    (f"{AGG.replace('FROM a', 'FROM d')}", "append", ["nosuch"], False, "a"),
]


def rows_of(rng, step, most):
    base = step * 9
    made = []
    for _ in range(rng.randint(0, most)):
        second = max(0, base + rng.randint(-25, 12))
        key = rng.choice(["x", "x", "y", "z", "q", None])
        made.append({"k": key, "ts": f"2024-05-01 10:{second // 60:02}:{second % 60:02}", "v": rng.randint(0, 9)})
    return made


def write(folder, step, rows):
    if rows:
        path = os.path.join(folder, f"{step}.json")
        with open(path + ".tmp", "w") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        os.rename(path + ".tmp", path)


def set_up(spark, folder, dedup=None):
    for name in "ab":
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        stream = spark.readStream.schema(SCHEMA).option("pathGlobFilter", "*.json").json(os.path.join(folder, name))
        stream.withWatermark("ts", "10 seconds").createOrReplaceTempView(name)
        if name == "b":
            stream.createOrReplaceTempView("c")
    spark.sql("SELECT * FROM VALUES ('x', 'first'), ('x', 'second'), ('z', 'third'), (NULL, 'fourth') AS s(k, name)") \
        .createOrReplaceTempView("s")
    if dedup:
        columns, within, stream = dedup
        stream = spark.table(stream)
        dropped = stream.dropDuplicatesWithinWatermark(columns) if within else stream.dropDuplicates(columns)
        dropped.createOrReplaceTempView("d")


def start(spark, query, folder, mode, function):
    writer = spark.sql(query).writeStream.outputMode(mode).option("checkpointLocation", os.path.join(folder, "cp"))
    return writer.trigger(availableNow=True).foreachBatch(function).start()


def operator(progress):
    return [progress["operatorName"], progress["numRowsTotal"], progress["numRowsUpdated"], progress["numRowsRemoved"],
            progress["numRowsDroppedByWatermark"]]


def run_case(spark, name, case, folder):
    query, *dedup = case if isinstance(case, tuple) else (case,)
    policy = "max" if name.endswith("max_policy") else "min"
    mode = "update" if name.endswith("update") else "append"
    spark.conf.set("spark.sql.streaming.multipleWatermarkPolicy", policy)
    set_up(spark, folder, dedup and dedup + ["a"])
    rng = random.Random(name)
    steps = []
    for step in range(7):
        inputs = {side: rows_of(rng, step, 7) for side in ("ab" if not dedup or " b " in query else "a")}
        for side, rows in inputs.items():
            write(os.path.join(folder, side), step, rows)
        batches = []
        running = start(spark, query, folder, mode, lambda rows, id: batches.append((id, rows.toJSON().collect())))
        running.awaitTermination()
        progress = {p["batchId"]: p for p in map(as_dict, running.recentProgress)}
        outcome = []
        for id, rows in batches:
            told = progress.get(id, {})
            outcome.append({
                "batch": id,
                "rows": sorted(rows),
                "watermark": told.get("eventTime", {}).get("watermark"),
                "operators": [operator(o) for o in told.get("stateOperators", [])],
            })
        steps.append({"inputs": inputs, "batches": outcome})
    return {"name": name, "query": query, "dedup": dedup, "policy": policy, "mode": mode, "steps": steps}


def as_dict(progress):
    return progress if isinstance(progress, dict) else json.loads(progress.json)


def refusal(spark, case, folder):
    query, mode, *dedup = case
    spark.conf.set("spark.sql.streaming.multipleWatermarkPolicy", "min")
    message = None
    try:
        set_up(spark, folder, dedup)
        write(os.path.join(folder, "a"), 0, [{"k": "x", "ts": "2024-05-01 10:00:00", "v": 1}])
        write(os.path.join(folder, "b"), 0, [{"k": "x", "ts": "2024-05-01 10:00:00", "v": 1}])
        start(spark, query, folder, mode, lambda rows, id: rows.count()).awaitTermination()
    except Exception as error:  # whatever Spark says is the answer
        message = str(error).split("\n")[0].removesuffix(";")
    return {"query": query, "mode": mode, "dedup": dedup, "message": message}


def main(results_path, refusals_path, *names):
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false") \
        .config("spark.driver.memory", "1g").config("spark.sql.session.timeZone", "UTC") \
        .config("spark.sql.shuffle.partitions", "1").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    refusals = []
    for case in REFUSALS if not names else []:
        folder = tempfile.mkdtemp()
        refusals.append(refusal(spark, case, folder))
        shutil.rmtree(folder)
    if not names:
        dump(refusals_path, refusals)
    known = {}
    if names:
        with open(results_path) as file:
            known = {case["name"]: case for case in json.load(file)}
    for name, case in QUERIES.items():
        if name in known and name not in names:
            continue
        folder = tempfile.mkdtemp()
        known[name] = run_case(spark, name, case, folder)
        shutil.rmtree(folder)
        dump(results_path, [known[name] for name in QUERIES if name in known])


def dump(path, items):
    """One item a line."""
    with open(path, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
