// @platformatic/kafka behind the agent protocol.
import { Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer } from '@platformatic/kafka'
import { serve, text } from './agent.mjs'

// Kafka itself takes longer to restart than the default of 3 retries lasts.
const options = { clientId: 'ottla-tests', bootstrapBrokers: [process.argv[2]], retries: 100, retryDelay: 250 }
let consumer
let stream
let subscribed

await serve({
  async createTopic(topic, partitions) {
    const admin = new Admin(options)
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 }).finally(() => admin.close())
  },

  async newProducer(codec) {
    return new Producer({ ...options, idempotent: true, compression: codec })
  },

  async send(producer, codec, topic, records) {
    const messages = records.map(record => ({
      topic,
      partition: record.partition,
      key: bytes(record.key),
      value: bytes(record.value),
      timestamp: BigInt(record.timestamp),
      headers: new Map(record.headers.map(([name, value]) => [Buffer.from(name), bytes(value)])),
    }))
    const next = new Map()
    for (const { partition, offset } of (await producer.send({ messages })).offsets) next.set(partition, Number(offset))
    return records.map(({ partition }) => {
      const offset = next.get(partition)
      next.set(partition, offset + 1)
      return offset
    })
  },

  async subscribe(topic, groupId, inbox) {
    consumer = new Consumer({ ...options, groupId, autocommit: false })
    subscribed = topic
    const assign = () => inbox.assign(consumer.assignments?.find(a => a.topic === topic)?.partitions ?? [])
    consumer.on('consumer:group:join', assign)
    stream = await consumer.consume({
      topics: [topic],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
      maxWaitTime: 500,
    })
    assign()
    stream.on('data', message => {
      // A fetch that was under way when another member took the partition still delivers; the other gets it, too.
      if (inbox.partitions.includes(message.partition)) inbox.push(record(message))
    })
  },

  async commit(delivered) {
    await consumer.commit({
      offsets: [...delivered].map(([partition, offset]) => ({ topic: subscribed, partition, offset: BigInt(offset), leaderEpoch: -1 })),
    })
  },

  async close() {
    await consumer.close(true)
  },
})

function record(message) {
  return {
    partition: message.partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: text(message.key),
    value: text(message.value),
    headers: [...message.headers].map(([name, value]) => [text(name), text(value)]),
  }
}

function bytes(text) {
  return text === null ? null : Buffer.from(text)
}
