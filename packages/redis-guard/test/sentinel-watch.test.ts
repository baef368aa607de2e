import { HandClock } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { RawClient } from '../src/client.ts'
import { MAX_WATCHED, SentinelWatch } from '../src/sentinel-watch.ts'
import { readMasterView, readSwitch } from '../src/sentinel-words.ts'

/** A sentinel as its client sees it, which says what the test wants. */
class Sentinel {
  view: unknown = viewOf('127.0.0.1', 1, 0)
  /** Undefined for one that is away. */
  client: RawClient | undefined
  #listeners = new Map<string, (...args: readonly unknown[]) => void>()

  open = async (): Promise<RawClient> => {
    this.#listeners = new Map()
    const client: RawClient = {
      status: 'ready',
      isCluster: false,
      options: {},
      connect: async () => {
        if (this.view === undefined) throw new Error('refused')
      },
      disconnect: () => this.end(),
      duplicate: () => client,
      nodes: () => [],
      on: (event, listener) => this.#listeners.set(event, listener),
      callBuffer: async (command) => (command === 'SENTINEL' ? this.view : 'PONG'),
      subscribe: async () => 1,
      unsubscribe: async () => 0,
    }
    this.client = client
    return client
  }

  tell(message: string): void {
    this.#listeners.get('message')?.('+switch-master', message)
  }

  end(): void {
    this.client = undefined
    this.#listeners.get('end')?.()
  }
}

function viewOf(ip: string, port: number, epoch: number): unknown {
  return ['name', 'main', 'ip', ip, 'port', String(port), 'config-epoch', String(epoch)].map((word) =>
    Buffer.from(word),
  )
}

function watchOf(t: Test, many: number) {
  const clock = new HandClock()
  const sentinels = Array.from({ length: many }, () => new Sentinel())
  const masters: string[] = []
  const watch = new SentinelWatch({
    masterName: 'main',
    sentinels: many,
    open: async (at) => (sentinels[at] ?? new Sentinel()).open(),
    onMaster: (address) => masters.push(address),
    attemptTimeoutMs: 500,
    firstDelayMs: 25,
    heartbeatMs: 1000,
    clock,
    random: () => 0,
  })
  t.teardown(async () => {
    const closed = watch.close()
    await clock.advance(1000)
    await closed
  })
  watch.start()
  return { watch, clock, sentinels, masters }
}

t.test('every message about our master is told, and nothing about others', async (t) => {
  const { watch, clock, sentinels, masters } = watchOf(t, 3)
  await clock.advance(0)
  t.equal(watch.listening, 3)
  t.strictSame(masters.splice(0), ['127.0.0.1:1'], 'the first view, which the others share')
  sentinels[1]?.tell('other 127.0.0.1 1 127.0.0.1 9')
  t.strictSame(masters, [])
  sentinels[1]?.tell('main 127.0.0.1 1 127.0.0.1 2')
  t.equal(watch.first, 1, 'it knows, and the others may not yet')
  sentinels[2]?.tell('main 127.0.0.1 1 127.0.0.1 2')
  t.strictSame(masters, ['127.0.0.1:2', '127.0.0.1:2'])
  t.equal(watch.first, 2)
})

t.test('what was missed is made up for, and a sentinel that lags behind moves nobody', async (t) => {
  const { watch, clock, sentinels, masters } = watchOf(t, 2)
  await clock.advance(0)
  masters.length = 0
  const [one, other] = sentinels
  if (one === undefined || other === undefined) throw new Error('two sentinels')
  one.view = viewOf('127.0.0.1', 2, 1)
  one.end()
  other.end()
  t.equal(watch.listening, 0)
  await clock.advance(100)
  t.equal(watch.listening, 2)
  t.strictSame(masters, ['127.0.0.1:2'])
  t.equal(watch.first, 0)
})

t.test('a sentinel that cannot be read, or says nothing of use, counts as one that is silent', async (t) => {
  const { watch, clock, sentinels, masters } = watchOf(t, 2)
  const [one, other] = sentinels
  if (one === undefined || other === undefined) throw new Error('two sentinels')
  one.view = undefined
  other.view = ['name', 'main']
  await clock.advance(0)
  t.equal(watch.listening, 1)
  t.equal(watch.first, 1)
  t.strictSame(masters, [])
  other.view = undefined
  other.end()
  t.equal(watch.first, 0, 'none answers: they are asked in their order')
})

t.test('waiting for a sentinel has an end', async (t) => {
  const { watch, clock, sentinels } = watchOf(t, 1)
  const [one] = sentinels
  if (one === undefined) throw new Error('one sentinel')
  one.view = undefined
  await clock.advance(10)
  let over = 0
  const end = () => {
    over += 1
  }
  void watch.heard(100).then(end)
  await clock.advance(99)
  t.equal(over, 0)
  await clock.advance(1)
  t.equal(over, 1)
  void watch.heard(60_000).then(end)
  one.view = viewOf('127.0.0.1', 1, 0)
  await clock.advance(6000)
  t.equal(over, 2, 'one can be heard again')
  await watch.heard(100)
})

t.test('a sentinel that fell silent is left and tried again', async (t) => {
  const { watch, clock, sentinels } = watchOf(t, 1)
  await clock.advance(0)
  const client = sentinels[0]?.client
  if (client === undefined) throw new Error('connected')
  Object.assign(client, { callBuffer: () => new Promise(() => {}) })
  await clock.advance(1500)
  await new Promise((resolve) => setImmediate(resolve))
  await clock.advance(100)
  t.equal(watch.listening, 1)
  t.not(sentinels[0]?.client, client)
})

t.test('many sentinels are not all listened to', async (t) => {
  const { watch, clock } = watchOf(t, 9)
  await clock.advance(0)
  t.equal(watch.listening, MAX_WATCHED)
})

t.test('what is no view of a master is none', async (t) => {
  for (const reply of [null, 'OK', [], ['ip', '1'], ['ip', '1', 'port', '2', 'config-epoch', 'x']]) {
    t.equal(readMasterView(reply), undefined)
  }
  t.equal(readSwitch('main', 'main'), undefined)
  t.equal(readSwitch('main ::1 1 ::1 2', 'main'), '::1:2')
})
