"""Streams files with PySpark, a micro-batch for each.

usage: spark_file_source.py FOLDER
FOLDER/cases.json is [{"name", "format", "columns", "options", "files": [[name, text]…]}, …]. The files of a case of Parquet are
queries instead of texts, whose rows this writes. Writes each case's files into FOLDER/NAME/in, the first one the oldest.
Prints a JSON line per case: {"name": …, "batches": [[row as JSON, …], …], "error": the error class or null}
"""

import glob
import json
import os
import re
import shutil
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import struct, to_json

folder = sys.argv[1]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.shuffle.partitions", "1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")


def write(case):
    into = os.path.join(folder, case["name"], "in")
    os.makedirs(into)
    for age, (name, text) in enumerate(case["files"]):
        path = os.path.join(into, name)
        if case["format"] == "parquet":
            made = os.path.join(folder, case["name"], "made")
            spark.sql(text).coalesce(1).write.mode("overwrite").parquet(made)
            shutil.move(glob.glob(f"{made}/*.parquet")[0], path)
        else:
            with open(path, "w", newline="") as file:
                file.write(text)
        os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))
    return into


def stream(case, path):
    batches = []

    def take(rows, _):
        # The files of a batch are read by partitions, whose order says nothing.
        lines = rows.select(to_json(struct("*")).alias("json")).collect() if rows.columns else []
        batches.append([line.json for line in lines])

    reader = spark.readStream.format(case["format"]).options(**case["options"]).option("maxFilesPerTrigger", 1)
    if case["columns"]:
        reader = reader.schema(case["columns"])
    query = (
        reader.load(path)
        .writeStream.foreachBatch(take)
        .option("checkpointLocation", os.path.join(folder, case["name"], "spark"))
        .trigger(availableNow=True)
        .start()
    )
    error = None
    try:
        query.awaitTermination()
    except Exception as failed:
        classes = re.findall(r"\[([A-Z_]+(?:\.[A-Z_]+)*)\]", str(failed))
        outer = ["STREAM_FAILED", "FOREACH_BATCH_USER_FUNCTION_ERROR"]
        error = next((name for name in classes if name not in outer), str(failed))
    return {"name": case["name"], "batches": batches, "error": error}


with open(os.path.join(folder, "cases.json")) as file:
    cases = json.load(file)
for case in cases:
    print(json.dumps(stream(case, write(case))), flush=True)
spark.stop()
