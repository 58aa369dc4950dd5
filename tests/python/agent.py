"""The agent protocol of tests/src/agent.rs: a JSON request per line of stdin, a JSON answer per line of stdout."""

import collections
import json
import sys


class Agent:
    """One client library: its producers by codec, and one consumer at a time."""

    def __init__(self, bootstrap_servers):
        self.bootstrap_servers = bootstrap_servers
        self.producers = {}
        self.consumer = None
        self.fetched = collections.deque()
        self.delivered = {}

    def do_create(self, topic, partitions):
        self.create_topic(topic, partitions)
        return {}

    def do_produce(self, topic, codec, records):
        if codec not in self.producers:
            self.producers[codec] = self.new_producer(codec)
        return {"offsets": self.send(self.producers[codec], topic, records)}

    def do_subscribe(self, topic, group):
        self.consumer = self.new_consumer(topic, group)
        return {}

    def do_assignment(self, partitions):
        while len(self.assigned()) != partitions:
            self.fetched.extend(self.fetch())
        return {"partitions": self.assigned()}

    def do_poll(self, count):
        while len(self.fetched) < count:
            self.fetched.extend(self.fetch())
        records = [self.fetched.popleft() for _ in range(count)]
        for record in records:
            self.delivered[record["partition"]] = record["offset"] + 1
        return {"records": records}

    def do_commit(self):
        self.commit(self.delivered)
        return {}

    def do_close(self):
        self.consumer.close()
        self.fetched.clear()
        self.delivered.clear()
        return {}


def serve(agent):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(agent, "do_" + request.pop("do"))(**request)
        except Exception as error:  # the Rust side decides whether it was expected
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def encode(text):
    return None if text is None else text.encode()


def decode(data):
    return None if data is None else data.decode()
