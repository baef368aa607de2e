// Scrapes of registries that hold metrics of other makers, some of which do not answer.

import { systemClock } from '@holdfast/footing'
import { MetricSet, OwnRegistry, type RegistryLike } from '@holdfast/metrics'
import { HandClock } from '@holdfast/test-kit'
import { Counter, Gauge, Histogram, Registry, Summary } from 'prom-client'
import t from 'tap'
import type { Format } from '../src/accept.ts'
import { Scrapes } from '../src/scrape.ts'
import { SharedScrapes } from '../src/shared-scrapes.ts'
import { promtoolCheck } from './promtool.ts'

t.setTimeout(60_000)

function scrapesOf(registry: RegistryLike, clock = systemClock, unread: (metric: string) => void = () => {}) {
  return new Scrapes({ registry, timeoutMs: 500, clock, unread })
}

t.test(
  'metrics of prom-client are told as it tells them, beside ours, and promtool likes them',
  async (t) => {
    const registry = new Registry()
    const registers = [registry]
    new MetricSet(registry).counter({ name: 'ours_total', help: 'Ours' }).inc()
    const counter = new Counter({ name: 'theirs_total', help: 'Theirs', labelNames: ['a'], registers })
    counter.inc({ a: 'q"' }, 2)
    new Gauge({ name: 'theirs', help: 'Theirs', registers }).set(Number.NaN)
    const histogram = new Histogram({ name: 'theirs_seconds', help: 'Theirs', labelNames: ['b'], registers })
    histogram.observe({ b: 'x' }, 0.3)
    new Summary({ name: 'theirs_bytes', help: 'Theirs', registers }).observe(3)
    registry.setDefaultLabels({ host: 'one' })
    const text = await scrapesOf(registry).read('text')
    // In which order labels stand means nothing, and no number is NaN in the format.
    const labels = (line: string) =>
      line.replace(/\{(.*)\}/, (_, all: string) => `{${all.split(',').toSorted()}}`)
    const sorted = (lines: string) =>
      lines
        .replaceAll('Nan', 'NaN')
        .split('\n')
        .filter((line) => line !== '')
        .map(labels)
        .toSorted()
    t.strictSame(sorted(text), sorted(await registry.metrics()))
    t.match(text, /^ours_total\{host="one"\} 1$/m)
    t.equal(promtoolCheck(text), '')
    const open = await scrapesOf(registry).read('openmetrics')
    t.match(open, /# TYPE theirs counter\ntheirs_total\{host="one",a="q\\""\} 2\n/)
    t.match(open, /# TYPE theirs_seconds histogram\n/)
    t.notMatch(open, /\n\n/)
    t.match(open, /\n# EOF\n$/)
  },
)

t.test(
  'a counter of another maker without _total gets it in OpenMetrics, and keeps its exemplar',
  async (t) => {
    const registry = new OwnRegistry()
    const exemplar = { labelSet: { trace_id: 'abc' }, value: 1, timestamp: 1.5 }
    registry.registerMetric({
      name: 'jobs',
      help: 'Jobs',
      type: 'counter',
      get: () => ({ name: 'jobs', help: 'Jobs', type: 'counter', values: [{ value: 3, exemplar }] }),
    })
    t.match(await scrapesOf(registry).read('openmetrics'), /^jobs_total 3 # \{trace_id="abc"\} 1 1.5$/m)
    t.match(await scrapesOf(registry).read('text'), /^jobs 3$/m)
  },
)

t.test('a metric that fails or does not answer is left out, and takes nothing with it', async (t) => {
  const registry = new OwnRegistry()
  const clock = new HandClock()
  const unread: string[] = []
  const metric = (name: string, get: () => unknown) =>
    registry.registerMetric({ name, help: name, type: 'gauge', get })
  metric('thrown', () => {
    throw new Error('no')
  })
  metric('rejected', () => Promise.reject(new Error('no')))
  metric('nothing', () => undefined)
  metric('never', () => new Promise(() => {}))
  const odd = { name: 'odd', help: 'Odd', type: 'gauge', values: [{ value: 1 }, { value: undefined }] }
  metric('odd', () => odd)
  metric('fine', () => ({ name: 'fine', help: 'Fine', type: 'gauge', values: [{ value: 1, labels: {} }] }))
  const reading = scrapesOf(registry, clock, (name) => unread.push(name)).read('text')
  await clock.advance(499)
  t.strictSame(unread, ['thrown', 'rejected', 'nothing'])
  await clock.advance(1)
  t.equal(await reading, '# HELP fine Fine\n# TYPE fine gauge\nfine 1\n')
  t.strictSame(unread, ['thrown', 'rejected', 'nothing', 'never', 'odd'], 'nor half of one')
  t.equal(clock.pendingTimers, 0)
})

t.test('one that hangs is asked once, however many scrapes there are', async (t) => {
  const registry = new OwnRegistry()
  const clock = new HandClock()
  let asked = 0
  registry.registerMetric({
    name: 'hung',
    help: 'Hung',
    type: 'gauge',
    get: () => {
      asked += 1
      return new Promise(() => {})
    },
  })
  const scrapes = scrapesOf(registry, clock)
  for (let times = 0; times < 3; times += 1) {
    const reading = scrapes.read('text')
    await clock.advance(500)
    t.equal(await reading, '')
  }
  t.equal(asked, 1)
})

t.test('an exemplar that cannot be told is left out, and its scrape can be read', async (t) => {
  const registry = new OwnRegistry()
  const seconds = new MetricSet(registry).histogram({ name: 'x_seconds', help: 'X', buckets: [1, 2, 3, 4] })
  const wallMs = 1500
  seconds.observe(0.5, { labels: { trace_id: 'a"b' }, wallMs })
  seconds.observe(1.5, { labels: { 'trace-id': 'a' }, wallMs })
  seconds.observe(2.5, { labels: { trace_id: 'x'.repeat(121) }, wallMs })
  seconds.observe(3.5, { labels: { trace_id: 'a' }, wallMs: Number.NaN })
  seconds.observe(4.5, { labels: { trace_id: 7 as never }, wallMs })
  registry.registerMetric({
    name: 'theirs_total',
    help: 'Theirs',
    type: 'counter',
    get: () => ({
      name: 'theirs_total',
      help: 'Theirs',
      type: 'counter',
      values: [{ value: 3, exemplar: { labelSet: { 'trace-id': 'a' }, value: 1, timestamp: 1 } }],
    }),
  })
  t.strictSame((await scrapesOf(registry).read('openmetrics')).match(/^(x_seconds_bucket|theirs).*$/gm), [
    'x_seconds_bucket{le="1.0"} 1 # {trace_id="a\\"b"} 0.5 1.5',
    'x_seconds_bucket{le="2.0"} 2',
    'x_seconds_bucket{le="3.0"} 3',
    'x_seconds_bucket{le="4.0"} 4 # {trace_id="a"} 3.5',
    'x_seconds_bucket{le="+Inf"} 5',
    'theirs_total 3',
  ])
})

t.test('a gauge of ours may ask, too, and is left out when it takes too long', async (t) => {
  const registry = new OwnRegistry()
  const clock = new HandClock()
  const set = new MetricSet(registry)
  const unread: string[] = []
  let answer: () => Promise<number> = async () => 7
  const running = set.gauge({
    name: 'running',
    help: 'Running',
    collect: () => answer().then((count) => running.set(count)),
  })
  const scrapes = scrapesOf(registry, clock, (name) => unread.push(name))
  t.match(await scrapes.read('text'), /^running 7$/m)
  answer = () => Promise.reject(new Error('away'))
  t.match(await scrapes.read('text'), /^running 7$/m, 'a rejection leaves it as it was')
  let asked = 0
  let letGo: (count: number) => void = () => {}
  answer = () => {
    asked += 1
    return new Promise((resolve) => {
      letGo = resolve
    })
  }
  for (const times of [1, 2, 3]) {
    const reading = scrapes.read('text')
    await clock.advance(500)
    t.notMatch(await reading, 'running')
    t.equal(unread.length, times)
  }
  t.equal(asked, 1, 'one that hangs is not asked once more')
  letGo(8)
  t.match((await registry.getSingleMetric('running')?.get()) as object, { values: [{ value: 8 }] })
  answer = async () => 9
  t.match((await registry.getSingleMetric('running')?.get()) as object, { values: [{ value: 9 }] })
})

t.test('who asks at the same time gets the same scrape', async (t) => {
  const registry = new OwnRegistry()
  let reads = 0
  registry.registerMetric({
    name: 'counted',
    help: 'Counted',
    type: 'gauge',
    get: async () => {
      reads += 1
      return { name: 'counted', help: 'Counted', type: 'gauge', values: [{ value: reads, labels: {} }] }
    },
  })
  const clock = new HandClock()
  const scrapes = scrapesOf(registry)
  const read = (format: Format) => scrapes.read(format)
  const shared = new SharedScrapes(read, { clock, keepMs: 0 })
  const texts = await Promise.all([shared.read('text'), shared.read('text'), shared.read('text')])
  t.equal(new Set(texts).size, 1)
  t.equal(reads, 1)
  t.match((await shared.read('text')).text, 'counted 2')

  const kept = new SharedScrapes(read, { clock, keepMs: 1000 })
  t.match((await kept.read('text')).text, 'counted 3')
  await clock.advance(999)
  const again = await kept.read('text')
  t.match(again.text, 'counted 3')
  t.equal(await again.zipped(), await again.zipped(), 'zipped once')
  t.match((await kept.read('openmetrics')).text, 'counted 4', 'each format is its own')
  await clock.advance(1)
  t.match((await kept.read('text')).text, 'counted 5')
})

t.test('a scrape that fails is told to who waits for it, and the next one is new', async (t) => {
  let fails = true
  const shared = new SharedScrapes(
    async () => {
      if (fails) throw new Error('the primary is silent')
      return 'fine 1'
    },
    { clock: new HandClock(), keepMs: 1000 },
  )
  const both = await Promise.allSettled([shared.read('text'), shared.read('text')])
  t.strictSame(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  fails = false
  t.equal((await shared.read('text')).text, 'fine 1')
})

t.test('a large scrape lets others work in between', async (t) => {
  const registry = new OwnRegistry()
  const clock = new HandClock()
  const set = new MetricSet(registry)
  const many = set.counter({ name: 'many_total', help: 'Many', labels: { n: { max: 1000 } } })
  for (let n = 0; n < 1000; n += 1) many.inc({ n: String(n) })
  const values = Array.from({ length: 1000 }, (_, n) => ({ value: n, labels: { n } }))
  const theirs = { name: 'theirs', help: 'Theirs', type: 'gauge' }
  registry.registerMetric({ ...theirs, get: () => ({ ...theirs, values }) })
  // Every look at the clock finds that 6 ms have passed.
  let lookedMs = 0
  const slow = {
    ...systemClock,
    nowMs: () => {
      lookedMs += 6
      return lookedMs
    },
    schedule: clock.schedule.bind(clock),
  }
  let turns = 0
  let reading = true
  const turn = () => {
    turns += 1
    if (reading) setImmediate(turn)
  }
  setImmediate(turn)
  const text = await scrapesOf(registry, slow).read('text')
  reading = false
  t.equal(text.match(/^many_total/gm)?.length, 1000)
  t.equal(text.match(/^theirs\{/gm)?.length, 1000)
  t.ok(turns > 40, `${turns} turns`)
})
