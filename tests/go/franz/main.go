// franz-go behind the agent protocol.
package main

import (
	"context"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla.dev/tests/agent"
)

func main() {
	agent.Serve(&franz{seed: kgo.SeedBrokers(os.Args[1]), producers: map[string]*kgo.Client{}})
}

type franz struct {
	seed      kgo.Opt
	producers map[string]*kgo.Client
	consumer  *kgo.Client
	topic     string
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (f *franz) Create(topic string, partitions int32) error {
	client, err := kgo.NewClient(f.seed)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(context.Background(), partitions, 1, nil, topic)
	return err
}

func (f *franz) Produce(topic, codec string, records []agent.Record) ([]int64, error) {
	producer, err := f.producer(codec)
	if err != nil {
		return nil, err
	}
	var messages []*kgo.Record
	for _, record := range records {
		message := &kgo.Record{
			Topic:     topic,
			Partition: record.Partition,
			Timestamp: time.UnixMilli(record.Timestamp),
			Key:       agent.Bytes(record.Key),
			Value:     agent.Bytes(record.Value),
		}
		for _, header := range record.Headers {
			message.Headers = append(message.Headers, kgo.RecordHeader{Key: *header[0], Value: agent.Bytes(header[1])})
		}
		messages = append(messages, message)
	}
	var offsets []int64
	for _, result := range producer.ProduceSync(context.Background(), messages...) {
		if result.Err != nil {
			return nil, result.Err
		}
	}
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return offsets, nil
}

func (f *franz) producer(codec string) (*kgo.Client, error) {
	if producer := f.producers[codec]; producer != nil {
		return producer, nil
	}
	producer, err := kgo.NewClient(f.seed, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[codec]))
	f.producers[codec] = producer
	return producer, err
}

func (f *franz) Subscribe(topic, group string, inbox *agent.Inbox) (err error) {
	f.topic = topic
	f.consumer, err = kgo.NewClient(f.seed,
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) { inbox.Assign(assigned[topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) { inbox.Revoke(revoked[topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { inbox.Revoke(lost[topic]) }),
	)
	if err == nil {
		go pump(f.consumer, inbox)
	}
	return err
}

func pump(consumer *kgo.Client, inbox *agent.Inbox) {
	for {
		fetches := consumer.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachRecord(func(message *kgo.Record) {
			record := agent.Record{
				Partition: message.Partition,
				Offset:    message.Offset,
				Timestamp: message.Timestamp.UnixMilli(),
				Key:       agent.Text(message.Key),
				Value:     agent.Text(message.Value),
				Headers:   [][2]*string{},
			}
			for _, header := range message.Headers {
				record.Headers = append(record.Headers, [2]*string{&header.Key, agent.Text(header.Value)})
			}
			inbox.Push(record)
		})
	}
}

func (f *franz) Commit(next map[int32]int64) (err error) {
	offsets := map[int32]kgo.EpochOffset{}
	for partition, offset := range next {
		offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	done := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, failure error) {
		err = failure
	}
	f.consumer.CommitOffsetsSync(context.Background(), map[string]map[int32]kgo.EpochOffset{f.topic: offsets}, done)
	return err
}

func (f *franz) Close() error {
	f.consumer.Close()
	return nil
}
