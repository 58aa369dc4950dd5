"""kafka-python behind the agent protocol."""

import logging
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

from agent import Agent, decode, encode, serve


def join_to_the_end(consumer):
    """kafka-python 3.0.12 throws away, on Kafka too, a join that ends between two polls, and joins anew, for which the
    other members have to poll again. So a poll does not give up while it joins."""
    coordinator = consumer._coordinator
    join = coordinator.join_group_async

    async def joined(timeout_ms=None):
        return await join()

    coordinator.join_group_async = joined


class KafkaPythonAgent(Agent):
    def create_topic(self, topic, partitions):
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        admin.create_topics([NewTopic(topic, partitions, 1)])
        admin.close()

    def new_producer(self, codec):
        return KafkaProducer(
            bootstrap_servers=self.bootstrap_servers,
            compression_type=None if codec == "none" else codec,
        )

    def send(self, producer, topic, records):
        sent = [
            producer.send(
                topic,
                key=encode(record["key"]),
                value=encode(record["value"]),
                headers=[(name, encode(value)) for name, value in record["headers"]],
                partition=record["partition"],
                timestamp_ms=record["timestamp"],
            )
            for record in records
        ]
        producer.flush()
        return [future.get().offset for future in sent]

    def new_consumer(self, topic, group):
        self.topic = topic
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        join_to_the_end(consumer)
        # kafka-python 3.0.12 can hang, on Kafka too, if it joins a group before it knows the topic.
        consumer.partitions_for_topic(topic)
        consumer.subscribe([topic])
        return consumer

    def assigned(self):
        return [partition.partition for partition in self.consumer.assignment()]

    def fetch(self):
        return [
            {
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": decode(record.key),
                "value": decode(record.value),
                "headers": [[name, decode(value)] for name, value in record.headers],
            }
            for records in self.consumer.poll(timeout_ms=100).values()
            for record in records
        ]

    def commit(self, offsets):
        self.consumer.commit({
            TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        })


# What a failing test shows.
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
serve(KafkaPythonAgent(sys.argv[1]))
