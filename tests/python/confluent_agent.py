"""confluent-kafka, that is librdkafka, behind the agent protocol."""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agent import Agent, decode, encode, serve


class ConfluentAgent(Agent):
    def create_topic(self, topic, partitions):
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()

    def new_producer(self, codec):
        return Producer({
            "bootstrap.servers": self.bootstrap_servers,
            "compression.type": codec,
            "enable.idempotence": True,
        })

    def send(self, producer, topic, records):
        offsets = [None] * len(records)

        def acknowledged(index):
            def on_delivery(error, message):
                offsets[index] = str(error) if error else message.offset()
            return on_delivery

        for index, record in enumerate(records):
            producer.produce(
                topic,
                encode(record["value"]),
                encode(record["key"]),
                record["partition"],
                on_delivery=acknowledged(index),
                timestamp=record["timestamp"],
                headers=[(name, encode(value)) for name, value in record["headers"]],
            )
        producer.flush()
        return offsets

    def new_consumer(self, topic, group):
        self.topic = topic
        consumer = Consumer({
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        })
        consumer.subscribe([topic])
        return consumer

    def assigned(self):
        return [partition.partition for partition in self.consumer.assignment()]

    def fetch(self):
        message = self.consumer.poll(0.1)
        if message is None:
            return []
        if message.error():
            print(message.error(), file=sys.stderr)
            return []
        return [{
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": message.timestamp()[1],
            "key": decode(message.key()),
            "value": decode(message.value()),
            "headers": [[name, decode(value)] for name, value in message.headers() or []],
        }]

    def commit(self, offsets):
        positions = [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]
        self.consumer.commit(offsets=positions, asynchronous=False)


serve(ConfluentAgent(sys.argv[1]))
