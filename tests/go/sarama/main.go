// sarama behind the agent protocol.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	"ottla.dev/tests/agent"
)

func main() {
	agent.Serve(&client{brokers: []string{os.Args[1]}, producers: map[string]sarama.SyncProducer{}})
}

type client struct {
	brokers   []string
	producers map[string]sarama.SyncProducer
	member    *member
}

var codecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	return config
}

func (c *client) Create(topic string, partitions int32) error {
	admin, err := sarama.NewClusterAdmin(c.brokers, config())
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
}

func (c *client) Produce(topic, codec string, records []agent.Record) ([]int64, error) {
	producer, err := c.producer(codec)
	if err != nil {
		return nil, err
	}
	var messages []*sarama.ProducerMessage
	for _, record := range records {
		message := &sarama.ProducerMessage{
			Topic:     topic,
			Partition: record.Partition,
			Timestamp: time.UnixMilli(record.Timestamp),
			Key:       encoder(record.Key),
			Value:     encoder(record.Value),
		}
		for _, header := range record.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(*header[0]), Value: agent.Bytes(header[1])})
		}
		messages = append(messages, message)
	}
	if err := producer.SendMessages(messages); err != nil {
		return nil, err
	}
	var offsets []int64
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return offsets, nil
}

func (c *client) producer(codec string) (sarama.SyncProducer, error) {
	if producer := c.producers[codec]; producer != nil {
		return producer, nil
	}
	config := config()
	config.Producer.Compression = codecs[codec]
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Producer.Retry.Max = 100
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(c.brokers, config)
	if err == nil {
		c.producers[codec] = producer
	}
	return producer, err
}

func encoder(text *string) sarama.Encoder {
	if text == nil {
		return nil
	}
	return sarama.StringEncoder(*text)
}

func (c *client) Subscribe(topic, group string, inbox *agent.Inbox) error {
	config := config()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	consumers, err := sarama.NewConsumerGroup(c.brokers, group, config)
	if err != nil {
		return err
	}
	c.member = &member{topic: topic, consumers: consumers, inbox: inbox, done: make(chan struct{})}
	go c.member.run()
	return nil
}

func (c *client) Commit(next map[int32]int64) error {
	session := c.member.session
	for partition, offset := range next {
		session.MarkOffset(c.member.topic, partition, offset, "")
	}
	session.Commit()
	return nil
}

func (c *client) Close() error {
	err := c.member.consumers.Close()
	<-c.member.done
	return err
}

// member is a consumer group's handler: a session lasts from one rebalance to the next.
type member struct {
	topic     string
	consumers sarama.ConsumerGroup
	inbox     *agent.Inbox
	session   sarama.ConsumerGroupSession
	done      chan struct{}
}

func (m *member) run() {
	defer close(m.done)
	for {
		err := m.consumers.Consume(context.Background(), []string{m.topic}, m)
		if err == sarama.ErrClosedConsumerGroup {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.session = session
	m.inbox.Assign(session.Claims()[m.topic])
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	m.inbox.Revoke(session.Claims()[m.topic])
	return nil
}

func (m *member) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		record := agent.Record{
			Partition: message.Partition,
			Offset:    message.Offset,
			Timestamp: message.Timestamp.UnixMilli(),
			Key:       agent.Text(message.Key),
			Value:     agent.Text(message.Value),
			Headers:   [][2]*string{},
		}
		for _, header := range message.Headers {
			record.Headers = append(record.Headers, [2]*string{agent.Text(header.Key), agent.Text(header.Value)})
		}
		m.inbox.Push(record)
	}
	return nil
}
