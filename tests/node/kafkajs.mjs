// kafkajs behind the agent protocol. It has gzip alone; the other codecs are plugged in as its documentation says.
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from '@platformatic/wasm-utils'
import kafkajs from 'kafkajs'
import { serve, text } from './agent.mjs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs
const codec = (compress, decompress) => () => ({
  compress: async encoder => compress(encoder.buffer),
  decompress: async data => decompress(data),
})
CompressionCodecs[CompressionTypes.Snappy] = codec(snappyCompress, unframeSnappy)
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Compress, lz4Decompress)
CompressionCodecs[CompressionTypes.ZSTD] = codec(promisify(zlib.zstdCompress), promisify(zlib.zstdDecompress))

/** Java's clients cut snappy into blocks: a header of 16 bytes, then each block behind its length. */
function unframeSnappy(data) {
  if (data.toString('latin1', 1, 7) !== 'SNAPPY') return snappyDecompress(data)
  const blocks = []
  for (let at = 16; at < data.length; at += 4 + data.readUInt32BE(at)) {
    blocks.push(snappyDecompress(data.subarray(at + 4, at + 4 + data.readUInt32BE(at))))
  }
  return Buffer.concat(blocks)
}

const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
let consumer
let subscribed

await serve({
  async createTopic(topic, numPartitions) {
    const admin = kafka.admin()
    await admin.connect()
    const created = await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false }).finally(() => admin.disconnect())
    if (!created) throw new Error(`${topic} already exists`)
  },

  async newProducer() {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    return producer
  },

  async send(producer, codec, topic, records) {
    const compression = Object.entries(CompressionTypes).find(([name]) => name.toLowerCase() === codec)[1]
    const messages = records.map(record => ({
      ...record,
      timestamp: String(record.timestamp),
      headers: Object.fromEntries(record.headers),
    }))
    const next = new Map()
    for (const { partition, baseOffset } of await producer.send({ topic, compression, messages })) {
      next.set(partition, Number(baseOffset))
    }
    return records.map(({ partition }) => {
      const offset = next.get(partition)
      next.set(partition, offset + 1)
      return offset
    })
  },

  async subscribe(topic, groupId, inbox) {
    consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 500 })
    subscribed = topic
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => inbox.assign(payload.memberAssignment[topic] ?? []))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => inbox.push({
        partition,
        offset: Number(message.offset),
        timestamp: Number(message.timestamp),
        key: text(message.key),
        value: text(message.value),
        headers: Object.entries(message.headers).map(([name, value]) => [name, text(value)]),
      }),
    })
  },

  async commit(delivered) {
    await consumer.commitOffsets([...delivered].map(([partition, offset]) => ({ topic: subscribed, partition, offset: String(offset) })))
  },

  async close() {
    await consumer.disconnect()
  },
})
