// The agent protocol of tests/src/agent.rs: a JSON request per line of stdin, a JSON answer per line of stdout.
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Records as a consumer pushes them, taken in order by whoever asks; any change of its state wakes the one who waits. */
export class Inbox {
  #records = []
  #wake = () => {}
  partitions = []

  push(record) {
    this.#records.push(record)
    this.#wake()
  }

  assign(partitions) {
    this.partitions = partitions
    this.#wake()
  }

  async take(count) {
    await this.until(() => this.#records.length >= count)
    return this.#records.splice(0, count)
  }

  async until(condition) {
    while (!condition()) await new Promise(resolve => { this.#wake = resolve })
  }
}

/** `library` has createTopic, newProducer, send, subscribe, commit and close. */
export async function serve(library) {
  const producers = new Map()
  const handlers = {
    async create({ topic, partitions }) {
      await library.createTopic(topic, partitions)
      return {}
    },
    async produce({ topic, codec, records }) {
      if (!producers.has(codec)) producers.set(codec, await library.newProducer(codec))
      return { offsets: await library.send(producers.get(codec), codec, topic, records) }
    },
    async subscribe({ topic, group }) {
      this.inbox = new Inbox()
      this.delivered = new Map()
      await library.subscribe(topic, group, this.inbox)
      return {}
    },
    async assignment({ partitions }) {
      await this.inbox.until(() => this.inbox.partitions.length === partitions)
      return { partitions: this.inbox.partitions }
    },
    async poll({ count }) {
      const records = await this.inbox.take(count)
      for (const { partition, offset } of records) this.delivered.set(partition, offset + 1)
      return { records }
    },
    async commit() {
      await library.commit(this.delivered)
      return {}
    },
    async close() {
      await library.close()
      return {}
    },
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    const answer = await handlers[request.do](request).catch(error => ({ error: describe(error) }))
    if (!process.stdout.write(JSON.stringify(answer) + '\n')) await once(process.stdout, 'drain')
  }
  process.exit(0)
}

export const text = data => (data === null || data === undefined ? null : data.toString())

const describe = error => [error, error.cause, ...(error.errors ?? [])].filter(Boolean).map(String).join('; ')
