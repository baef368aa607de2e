// The numbers of several processes together, on a clock that is moved by hand.

import { setImmediate } from 'node:timers/promises'
import { ClusterWorker, collectCluster, MetricSet, OwnRegistry } from '@holdfast/metrics'
import { HandClock, seededRandom } from '@holdfast/test-kit'
import { Counter, Gauge, Registry, Summary } from 'prom-client'
import t from 'tap'
import type { ClusterLike } from '../src/cluster-process.ts'
import { SnapshotWriter, type WorkerSnapshot } from '../src/worker-snapshot.ts'
import { WorkerTotals } from '../src/worker-totals.ts'
import { promtoolCheck } from './promtool.ts'

const counted = (value: number, name = 'a_total', type = 'counter', aggregator = 'sum'): WorkerSnapshot => ({
  layout: [{ name, help: 'A', type, aggregator, keys: [name] }],
  values: [value],
})
const totalsOf = (maxRetired = 100) =>
  new WorkerTotals({ staleAfterMs: 3000, maxRetired, aggregates: { said: 'max' } })
const row = (totals: WorkerTotals, series: string) =>
  totals
    .text('text', 0)
    .split('\n')
    .find((line) => line.startsWith(`${series} `))

t.test('counters add up, gauges as they say, and what has ended is kept of counters alone', (t) => {
  const totals = totalsOf()
  const kinds = ['sum', 'max', 'min', 'average', 'first', 'omit']
  for (const [worker, value] of [3, 1, 5].entries()) {
    totals.hear(
      worker,
      {
        layout: [
          { name: 'a_total', help: 'A', type: 'counter', aggregator: 'sum', keys: ['a_total'] },
          ...kinds.map((aggregator) => ({
            name: aggregator,
            help: 'G',
            type: 'gauge',
            aggregator,
            keys: [aggregator],
          })),
        ],
        values: [value, ...kinds.map(() => value)],
      },
      0,
    )
  }
  t.equal(row(totals, 'a_total'), 'a_total 9')
  t.strictSame(
    kinds.map((kind) => row(totals, kind)),
    ['sum 9', 'max 5', 'min 1', 'average 3', 'first 5', undefined],
  )
  totals.hear(9, counted(1, 'o_total', 'counter', 'omit'), 0)
  totals.retire(9)
  t.equal(row(totals, 'o_total'), undefined)
  totals.retire(2)
  totals.retire(2)
  t.equal(row(totals, 'a_total'), 'a_total 9')
  t.strictSame(
    kinds.map((kind) => row(totals, kind)),
    ['sum 4', 'max 3', 'min 1', 'average 2', 'first 1', undefined],
  )
  t.end()
})

t.test('a sum of fractions stays what it is to the last digit, in whichever order its parts end', (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let round = 0; round < 200; round += 1) {
    const totals = totalsOf()
    const workers = [0, 1, 2, 3, 4]
    for (const worker of workers) totals.hear(worker, counted(random.next() * 10 ** random.int(-6, 3)), 0)
    const whole = row(totals, 'a_total')
    while (workers.length > 0) {
      totals.retire(workers.splice(random.int(0, workers.length - 1), 1)[0] ?? 0)
      if (row(totals, 'a_total') !== whole) t.equal(row(totals, 'a_total'), whole)
    }
  }
  const totals = totalsOf()
  for (const worker of [1, 2]) totals.hear(worker, counted(Number.POSITIVE_INFINITY), 0)
  t.equal(row(totals, 'a_total'), 'a_total +Inf')
  t.end()
})

t.test('how a gauge of another maker becomes one can be said', (t) => {
  const totals = totalsOf()
  for (const [worker, value] of [3, 1].entries()) totals.hear(worker, counted(value, 'said', 'gauge'), 0)
  t.equal(row(totals, 'said'), 'said 3')
  // Of what grows, nothing else would be true.
  for (const [worker, value] of [3, 1].entries())
    totals.hear(worker, counted(value, 'b_total', 'counter', 'max'), 0)
  t.equal(row(totals, 'b_total'), 'b_total 4')
  t.end()
})

t.test('a layout is sent when it changes, and numbers that JSON has not arrive', async (t) => {
  const registry = new Registry()
  const registers = [registry]
  const gauge = new Gauge({ name: 'g', help: 'G', labelNames: ['a'], registers })
  gauge.set({ a: 'x' }, Number.NaN)
  gauge.set({ a: 'y' }, Number.POSITIVE_INFINITY)
  gauge.set({ a: 'z' }, Number.NEGATIVE_INFINITY)
  const writer = new SnapshotWriter((promise) => promise)
  const totals = totalsOf()
  const send = async () => {
    const snapshot = JSON.parse(JSON.stringify(await writer.next(registry.getMetricsAsArray() as never)))
    totals.hear(1, snapshot, 0)
    return snapshot as WorkerSnapshot
  }
  t.ok((await send()).layout)
  t.strictSame(
    ['x', 'y', 'z'].map((a) => row(totals, `g{a="${a}"}`)),
    ['g{a="x"} NaN', 'g{a="y"} +Inf', 'g{a="z"} -Inf'],
  )
  gauge.set({ a: 'x' }, 1)
  t.notOk((await send()).layout)
  t.equal(row(totals, 'g{a="x"}'), 'g{a="x"} 1')
  gauge.remove({ a: 'x' })
  t.ok((await send()).layout)
  t.equal(row(totals, 'g{a="x"}'), undefined)
})

t.test('a metric that answers nonsense takes no other with it, and is named', async (t) => {
  const registry = new Registry()
  registry.setDefaultLabels({ service: 'api', a: 'default' })
  new Gauge({ name: 'g', help: 'G', labelNames: ['a'], registers: [registry] }).set({ a: 'x' }, 1)
  const nonsense = [{ values: { a: 1 } }, { values: [undefined] }, { values: [{ value: 'x' }] }, undefined]
  for (const [at, answer] of nonsense.entries())
    registry.registerMetric({ name: `n${at}`, help: 'N', type: 'gauge', get: () => answer } as never)
  registry.registerMetric({
    name: 'bare',
    help: 'B',
    type: 'gauge',
    get: () => ({ name: 'bare', help: 'B', type: 'gauge', values: [{ value: 2, labels: null }] }),
  } as never)
  const unread: string[] = []
  const totals = totalsOf()
  const worker = new ClusterWorker(channelTo(totals), registry as never, new HandClock(), (name) =>
    unread.push(name),
  )
  await worker.close()
  t.equal(row(totals, 'g{service="api",a="x"}'), 'g{service="api",a="x"} 1', 'with the default labels')
  t.equal(row(totals, 'bare{service="api",a="default"}'), 'bare{service="api",a="default"} 2')
  t.strictSame(unread, ['n0', 'n1', 'n2', 'n3'])
})

t.test('what grows and is late stays what it was', async (t) => {
  const registry = new Registry()
  const registers = [registry]
  new Counter({ name: 'late_total', help: 'L', registers }).inc(3)
  new Gauge({ name: 'late', help: 'L', registers }).set(3)
  const totals = totalsOf()
  let late = false
  const writer = new SnapshotWriter(async (promise) => {
    const answer = await promise
    if (late) throw new Error('late')
    return answer
  })
  const rows = async () => {
    totals.hear(1, await writer.next(registry.getMetricsAsArray() as never), 0)
    return [row(totals, 'late_total'), row(totals, 'late')]
  }
  t.strictSame(await rows(), ['late_total 3', 'late 3'])
  late = true
  t.strictSame(await rows(), ['late_total 3', undefined])
  late = false
  t.strictSame(await rows(), ['late_total 3', 'late 3'])
})

t.test('numbers arrive in the order in which they were read', async (t) => {
  const registry = new OwnRegistry()
  const set = new MetricSet(registry)
  const done = set.counter({ name: 'done_total', help: 'Done' })
  let answer = () => {}
  const slow = [new Promise<void>((resolve) => (answer = resolve))]
  set.gauge({ name: 'slow', help: 'Slow', collect: () => slow.shift() })
  const totals = totalsOf()
  const worker = new ClusterWorker(channelTo(totals), registry, new HandClock())
  const first = worker.tell()
  await setImmediate()
  done.inc()
  const second = worker.tell()
  await setImmediate()
  answer()
  await Promise.all([first, second])
  t.equal(row(totals, 'done_total'), 'done_total 1')
})

t.test('a snapshot whose layout nobody knows is left out', (t) => {
  const totals = totalsOf()
  totals.hear(1, { values: [3] }, 0)
  t.match(totals.text('text', 0), 'metrics_workers{state="live"} 0')
  t.end()
})

t.test('quantiles of several processes are told of none, and a counter without _total gets it', async (t) => {
  const registry = new Registry()
  const registers = [registry]
  new Summary({ name: 's_seconds', help: 'S', registers }).observe(2)
  new Counter({ name: 'plain', help: 'P', labelNames: ['a'], registers }).inc({ a: 'x' })
  const totals = totalsOf()
  totals.hear(
    1,
    await new SnapshotWriter((promise) => promise).next(registry.getMetricsAsArray() as never),
    0,
  )
  const text = totals.text('openmetrics', 0)
  t.notMatch(text, 'quantile')
  t.match(text, /^s_seconds_sum 2$/m)
  t.match(text, /^plain_total\{a="x"\} 1$/m)
  t.end()
})

t.test('of processes that have ended, so many series are kept', (t) => {
  const totals = totalsOf(2)
  for (const worker of [1, 2, 3, 4]) {
    totals.hear(worker, counted(1, `n${worker % 3}_total`), 0)
    totals.retire(worker)
  }
  t.equal(row(totals, 'n1_total'), 'n1_total 2')
  t.equal(row(totals, 'n2_total'), 'n2_total 1')
  t.equal(row(totals, 'n0_total'), undefined)
  t.equal(totals.dropped, 1)
  t.end()
})

t.test('who has not told for three turns is stale', (t) => {
  const totals = totalsOf()
  totals.hear(1, counted(1), 0)
  totals.hear(2, counted(1), 2000)
  t.match(totals.text('text', 3000), 'metrics_workers{state="live"} 2\nmetrics_workers{state="stale"} 0')
  t.match(totals.text('text', 3001), 'metrics_workers{state="live"} 1\nmetrics_workers{state="stale"} 1')
  t.end()
})

t.test('a worker whose primary says nothing tells why, and one whose primary has gone goes on', async (t) => {
  const clock = new HandClock()
  const registry = new OwnRegistry()
  new MetricSet(registry)
  const sent: object[] = []
  const channel = {
    connected: true,
    send: (message: object) => sent.push(message),
    on: () => {},
    off: () => {},
  }
  const worker = new ClusterWorker(channel, registry, clock)
  const reading = worker.read('text')
  reading.catch(() => {})
  await clock.advance(1000)
  await t.rejects(reading, {
    code: 'HOLDFAST_ERR_METRICS_PRIMARY_SILENT',
    statusCode: 503,
    retryAfterSeconds: 1,
  })
  const before = sent.length
  channel.connected = false
  await clock.advance(2000)
  t.equal(sent.length, before)
  await worker.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('the primary answers nobody who has left, and hears no more when it is closed', (t) => {
  const listeners = new Map<string, unknown>()
  const cluster = {
    on: (event: string, listener: unknown) => listeners.set(event, listener),
    off: (event: string) => listeners.delete(event),
  } as unknown as ClusterLike
  const told = collectCluster(cluster, new HandClock())
  const hear = listeners.get('message') as (worker: object, message: unknown) => void
  const answers: object[] = []
  const worker = { id: 1, isConnected: () => false, send: (message: object) => answers.push(message) }
  hear(worker, { kind: 'holdfast:metrics:read', id: 1, format: 'text' })
  hear(worker, undefined)
  hear(worker, 'something else')
  t.equal(answers.length, 0)
  t.match(told.text(), 'metrics_workers')
  told.close()
  t.equal(listeners.size, 0)
  t.end()
})

t.test('what the primary counts itself is added up with the rest, and it is no worker', async (t) => {
  const clock = new HandClock()
  const listeners = new Map<string, (worker: object, message?: unknown) => void>()
  const cluster = {
    on: (event: string, listener: never) => listeners.set(event, listener),
    off: (event: string) => listeners.delete(event),
  } as unknown as ClusterLike
  const set = new MetricSet(new OwnRegistry())
  const told = collectCluster(cluster, clock, { registry: set.registry, aggregates: { newest: 'newest' } })
  t.notMatch(told.text(), 'lost_total')
  const lost = set.counter({ name: 'lost_total', help: 'Lost', labels: { reason: ['stuck', 'ended'] } })
  set.counter({ name: 'a_total', help: 'A' }).inc(7)
  set.gauge({ name: 'newest', help: 'N', aggregate: 'newest' }).set(1)
  await clock.advance(1000)
  t.match(
    told.text(),
    '# TYPE lost_total counter\nlost_total{reason="stuck"} 0\nlost_total{reason="ended"} 0\n',
  )
  t.match(told.text(), 'a_total 7\n')
  t.match(told.text(), /^newest 1$/m)
  t.match(told.text(), 'metrics_workers{state="live"} 0\nmetrics_workers{state="stale"} 0\n')

  const worker = { id: 1 }
  const newest = { name: 'newest', help: 'N', type: 'gauge', aggregator: 'first', keys: ['newest'] }
  const { layout = [] } = counted(2)
  listeners.get('message')?.(worker, {
    kind: 'holdfast:metrics:snapshot',
    snapshot: { layout: [...layout, newest], values: [2, 5] },
  })
  lost.inc({ reason: 'stuck' })
  await clock.advance(60_000)
  t.match(told.text('openmetrics'), 'lost_total{reason="stuck"} 1\n')
  t.match(told.text(), 'a_total 9\n')
  t.match(told.text(), /^newest 5$/m)
  t.equal(told.text().match(/# TYPE a_total/g)?.length, 1, 'one family of each name')
  t.match(told.text(), 'metrics_workers{state="live"} 0\nmetrics_workers{state="stale"} 1\n')
  listeners.get('disconnect')?.(worker)
  t.match(told.text(), 'a_total 9\n')
  t.equal(promtoolCheck(told.text()), '')
  told.close()
  t.equal(clock.pendingTimers, 0)

  // Also where it is under way.
  const late = collectCluster(cluster, clock, { registry: set.registry })
  late.close()
  await clock.advance(0)
  t.equal(clock.pendingTimers, 0)
})

/** To a primary that adds up what the first worker says. */
function channelTo(totals: WorkerTotals) {
  return {
    connected: true,
    send: (message: object) => totals.hear(1, (message as { snapshot: WorkerSnapshot }).snapshot, 0),
    on: () => {},
    off: () => {},
  }
}
