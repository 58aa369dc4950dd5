"""Runs one Structured Streaming query over a Kafka topic up to where the topic ends, as `ottla-stream sql` does.

usage: query.py BOOTSTRAP_SERVERS TOPIC SQL FORMAT OUTPUT_MODE CHECKPOINT [OPTION=VALUE...]
SPARK_JARS: the Kafka connector's jars, by commas. Prints {"progress": …} for each micro-batch once the query has ended.
"""

import os
import sys

from pyspark.sql import SparkSession

# What `local[2]` needs, and not more: every micro-batch of a stateful query pays for each of them.
SHUFFLE_PARTITIONS = 2
# All micro-batches of a run.
PROGRESS_UPDATES = 100_000

bootstrap_servers, topic, sql, sink, output_mode, checkpoint, *options = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars", os.environ["SPARK_JARS"])
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", SHUFFLE_PARTITIONS)
    .config("spark.sql.streaming.numRecentProgressUpdates", PROGRESS_UPDATES)
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
spark.readStream.format("kafka").options(**{
    "kafka.bootstrap.servers": bootstrap_servers,
    "subscribe": topic,
    "startingOffsets": "earliest",
    **dict(option.split("=", 1) for option in options),
}).load().createOrReplaceTempView(topic)
query = (
    spark.sql(sql)
    .writeStream.format(sink)
    .outputMode(output_mode)
    .option("checkpointLocation", checkpoint)
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
for progress in query.recentProgress:
    print('{"progress": ' + progress.json.replace("\n", " ") + "}")
spark.stop()
