"""Reads folders that a file sink wrote, and writes one.

usage: spark_files.py WRITTEN_BY_SPARK FORMAT=FOLDER...
Streams the columns of twelve small files into WRITTEN_BY_SPARK/out, a micro-batch each.
Prints a JSON line per folder that it read: {"folder": …, "columns": [[name, type], …], "rows": [[value, …], …]}
"""

import json
import os
import sys

from pyspark.sql import SparkSession

own, *folders = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

for named in folders:
    name, folder = named.split("=", 1)
    reader = spark.read.format(name)
    if name == "csv":
        reader = reader.option("header", "true").option("inferSchema", "true")
    rows = reader.load(folder)
    print(
        json.dumps(
            {
                "folder": folder,
                "columns": [list(column) for column in rows.dtypes],
                "rows": [[None if value is None else str(value) for value in row] for row in rows.collect()],
            }
        ),
        flush=True,
    )

os.makedirs(f"{own}/in")
for number in range(12):
    with open(f"{own}/in/{number}.txt", "w") as file:
        file.write(f"line {number}\n")
spark.readStream.format("text").option("maxFilesPerTrigger", 1).load(f"{own}/in").writeStream.format("text").option(
    "checkpointLocation", f"{own}/checkpoint"
).option("path", f"{own}/out").trigger(availableNow=True).start().awaitTermination()
spark.stop()
