// Metrics that an application makes: what is refused, what is bounded, and what three clients make of it.

import { systemClock } from '@holdfast/footing'
import { type LabelRules, MetricSet, OwnRegistry, type RegistryLike } from '@holdfast/metrics'
import { contractSuite } from '@holdfast/test-kit'
import { Registry as SuccessorRegistry } from '@prometheus-io/client'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { type Format, formatOf } from '../src/accept.ts'
import { Scrapes } from '../src/scrape.ts'

const scrape = (registry: RegistryLike, format: Format = 'text') =>
  new Scrapes({ registry, timeoutMs: 500, clock: systemClock, unread: () => {} }).read(format)

interface Subject {
  readonly set: MetricSet
  readonly registry: RegistryLike
}

const registries = {
  'its own registry': OwnRegistry,
  'prom-client': Registry,
  'the successor': SuccessorRegistry,
}
await contractSuite<Subject, Test>(
  t,
  'metrics',
  Object.entries(registries).map(([name, Made]) => ({
    name,
    setUp: () => {
      const registry = new Made() as unknown as RegistryLike
      return { registry, set: new MetricSet(registry) }
    },
  })),
  {
    'a counter of words has all its series from the start': async (t, { set, registry }) => {
      const bets = set.counter({
        name: 'bets_total',
        help: 'Bets',
        labels: { outcome: ['accepted', 'rejected'] },
      })
      bets.inc({ outcome: 'accepted' })
      bets.inc({ outcome: 'accepted' }, 2.5)
      t.match(await scrape(registry), /# HELP bets_total Bets\n# TYPE bets_total counter\n/)
      t.match(
        await scrape(registry),
        /^bets_total\{outcome="accepted"\} 3.5\nbets_total\{outcome="rejected"\} 0$/m,
      )
      t.match(await scrape(registry, 'openmetrics'), /# HELP bets Bets\n# TYPE bets counter\nbets_total\{/)
      t.match(await scrape(registry, 'openmetrics'), /# EOF\n$/)
    },
    'without labels, a metric is recorded without any': async (t, { set, registry }) => {
      const counter = set.counter({ name: 'turns_total', help: 'Turns' })
      counter.inc()
      counter.inc(4)
      const gauge = set.gauge({ name: 'depth', help: 'Depth' })
      gauge.set(7)
      gauge.inc(2)
      gauge.dec()
      const histogram = set.histogram({ name: 'size_bytes', help: 'Size', buckets: [1, 10] })
      for (const size of [1, 2, 100]) histogram.observe(size)
      const text = await scrape(registry)
      t.match(text, /^turns_total 5$/m)
      t.match(text, /^depth 8$/m)
      t.match(
        text,
        /^size_bytes_bucket\{le="1.0"\} 1\nsize_bytes_bucket\{le="10.0"\} 2\nsize_bytes_bucket\{le="\+Inf"\} 3$/m,
      )
      t.match(text, /^size_bytes_sum 103\nsize_bytes_count 3$/m)
    },
    'a series that is kept is recorded in without a look-up': async (t, { set, registry }) => {
      const counter = set.counter({ name: 'kept_total', help: 'Kept', labels: { who: { max: 3 } } })
      const child = counter.child({ who: 'me' })
      child.inc()
      child.inc(2)
      t.equal(child.value, 3)
      t.match(await scrape(registry), /^kept_total\{who="me"\} 3$/m)
    },
    'a label has as many values as its rule says, and those reserved have their place': async (
      t,
      { set, registry },
    ) => {
      const counter = set.counter({
        name: 'open_total',
        help: 'Open',
        labels: { tenant: { max: 2, reserved: ['acme'] } },
      })
      for (const tenant of ['a', 'b', 'c', 'd', 'acme', '', 'x'.repeat(129), undefined])
        counter.inc({ tenant })
      const text = await scrape(registry)
      const rows = text.match(/^open_total\{.*$/gm)
      t.strictSame(rows, [
        'open_total{tenant="a"} 1',
        'open_total{tenant="b"} 1',
        'open_total{tenant="other"} 4',
        'open_total{tenant="acme"} 1',
        'open_total{tenant="none"} 1',
      ])
      t.match(text, /^metrics_label_overflow_total\{metric="open_total",label="tenant"\} 4$/m)
    },
    'a metric has at most maxSeries series, and one for what comes after': async (t, { set, registry }) => {
      const counter = set.counter({
        name: 'product_total',
        help: 'Product',
        labels: { a: { max: 50 }, b: { max: 50 } },
        maxSeries: 10,
      })
      for (let at = 0; at < 100; at += 1) counter.inc({ a: `a${at % 10}`, b: `b${Math.floor(at / 10)}` })
      const text = await scrape(registry)
      t.equal(text.match(/^product_total\{/gm)?.length, 11)
      t.match(text, /^product_total\{a="other",b="other"\} 90$/m)
      t.match(text, /^metrics_label_overflow_total\{metric="product_total",label="\*"\} 90$/m)
    },
    'values that look alike are series of their own, and escaped': async (t, { set, registry }) => {
      const counter = set.counter({
        name: 'alike_total',
        help: 'A\\B\n"C"',
        labels: { a: { max: 9 }, b: { max: 9 } },
      })
      counter.inc({ a: '1,b:2', b: undefined })
      counter.inc({ a: '1', b: '2,b:' })
      counter.inc({ a: 'q"\\\n', b: 'x' })
      const text = await scrape(registry)
      t.strictSame(text.match(/^alike_total\{.*$/gm), [
        'alike_total{a="1,b:2",b="none"} 1',
        'alike_total{a="1",b="2,b:"} 1',
        'alike_total{a="q\\"\\\\\\n",b="x"} 1',
      ])
      t.match(text, '# HELP alike_total A\\\\B\\n"C"\n')
      t.match(await scrape(registry, 'openmetrics'), '# HELP alike A\\\\B\\n\\"C\\"\n')
    },
    'what is no number is left out and counted': async (t, { set, registry }) => {
      const counter = set.counter({ name: 'numbers_total', help: 'Numbers' })
      for (const by of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5' as never]) counter.inc(by)
      for (const by of [Symbol('5') as never, 5n as never]) counter.inc(by)
      const histogram = set.histogram({ name: 'numbers_seconds', help: 'Numbers', buckets: [1] })
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, '0.1' as never, Symbol('1') as never, 0.5])
        histogram.observe(value)
      const gauge = set.gauge({ name: 'level', help: 'Level' })
      gauge.set(7)
      gauge.set('1\nmore 1' as never)
      for (const by of [Number.NaN, '1' as never]) {
        gauge.inc(by)
        gauge.dec(by)
      }
      const text = await scrape(registry)
      t.match(text, /^numbers_total 0$/m)
      t.match(text, /^numbers_seconds_sum 0.5$/m)
      t.match(text, /^level 7$/m)
      t.match(text, /^metrics_values_refused_total\{metric="numbers_total"\} 6$/m)
      t.match(text, /^metrics_values_refused_total\{metric="numbers_seconds"\} 4$/m)
      t.match(text, /^metrics_values_refused_total\{metric="level"\} 5$/m)
    },
    'a gauge may be read when it is looked at, and a throw leaves it as it was': async (
      t,
      { set, registry },
    ) => {
      let depth = 3
      const gauge = set.gauge({
        name: 'queue_depth',
        help: 'Depth',
        collect: () => {
          if (depth === 0) throw new Error('away')
          gauge.set(depth)
        },
      })
      t.match(await scrape(registry), /^queue_depth 3$/m)
      depth = 0
      t.match(await scrape(registry), /^queue_depth 3$/m)
    },
    'a reset begins at 0, and whoever holds a series goes on': async (t, { set, registry }) => {
      const child = set
        .counter({ name: 'again_total', help: 'Again', labels: { a: ['x'] } })
        .child({ a: 'x' })
      const seconds = set.histogram({ name: 'again_seconds', help: 'Again', buckets: [1] })
      const gauge = set.gauge({ name: 'again_depth', help: 'Again' })
      child.inc(5)
      seconds.observe(0.5)
      gauge.set(3)
      for (const metric of registry.getMetricsAsArray()) (metric as { reset(): void }).reset()
      child.inc()
      const text = await scrape(registry)
      t.match(text, /^again_total\{a="x"\} 1$/m)
      t.match(text, /^again_seconds_count 0$/m)
      t.match(text, /^again_depth 0$/m)
    },
    'the client itself can read what is made here': async (t, { set, registry }) => {
      set.counter({ name: 'read_total', help: 'Read', labels: { a: ['x'] } }).inc({ a: 'x' })
      set.histogram({ name: 'read_seconds', help: 'Read', buckets: [1] }).observe(0.5)
      const { metrics } = registry as { metrics?: () => Promise<string> }
      if (metrics === undefined) {
        t.equal(registry.getMetricsAsArray().length, 4)
        return
      }
      const text = await metrics.call(registry)
      t.match(text, /^read_total\{a="x"\} 1$/m)
      t.match(text, /^read_seconds_bucket\{le="1.0"\} 1$/m)
      t.match(text, /^read_seconds_count 1$/m)
    },
    'a name is taken once': (t, { set }) => {
      set.gauge({ name: 'once', help: 'Once' })
      t.throws(() => set.gauge({ name: 'once', help: 'Again' }), { code: 'HOLDFAST_ERR_METRICS_DUPLICATE' })
    },
    'a name whose lines would look like those of another metric is refused': (t, { set }) => {
      const help = 'Alike'
      const refused = (make: () => unknown, other: string) =>
        t.throws(make, {
          code: 'HOLDFAST_ERR_METRICS_DEFINITION',
          message: `one that a scrape can tell from "${other}"`,
        })
      set.counter({ name: 'jobs_total', help })
      refused(() => set.gauge({ name: 'jobs', help }), 'jobs_total')
      set.gauge({ name: 'bots', help })
      refused(() => set.counter({ name: 'bots_total', help }), 'bots')
      set.histogram({ name: 'bet_seconds', help })
      for (const part of ['bucket', 'sum', 'count'])
        refused(() => set.gauge({ name: `bet_seconds_${part}`, help }), 'bet_seconds')
      set.gauge({ name: 'size_bytes_count', help })
      refused(() => set.histogram({ name: 'size_bytes', help }), 'size_bytes_count')
      set.gauge({ name: 'bots_count', help })
    },
  },
)

t.test('a definition that could not be scraped is refused', (t) => {
  const set = new MetricSet(new OwnRegistry())
  const refused = (make: () => unknown, message: RegExp) =>
    t.throws(make, { code: 'HOLDFAST_ERR_METRICS_DEFINITION', message })
  const help = 'Help'
  refused(() => set.counter({ name: 'Bad-Name_total', help }), /Bad-Name_total: "name" must be small letters/)
  refused(() => set.counter({ name: 'bets', help }), /a name that ends with _total, as it is a counter/)
  refused(() => set.gauge({ name: 'bots_total', help }), /does not end with _total, as it is a gauge/)
  refused(() => set.gauge({ name: 'bots', help: '' }), /"help" must be a text/)
  refused(() => set.gauge({ name: 'bots', help, labels: { le: ['a'] } }), /"labels.le" must be named/)
  refused(() => set.gauge({ name: 'bots', help, labels: { a: [] } }), /"labels.a" must be 1 to 200 different/)
  refused(() => set.gauge({ name: 'bots', help, labels: { a: ['x', 'x'] } }), /different texts/)
  refused(
    () => set.gauge({ name: 'bots', help, labels: { a: { max: 0 } } }),
    /"labels.a.max" must be a whole/,
  )
  refused(
    () => set.gauge({ name: 'bots', help, labels: { a: { max: 1, reserved: [''] } } }),
    /different texts/,
  )
  const nine = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`l${at}`, ['x']])) as LabelRules
  refused(() => set.gauge({ name: 'bots', help, labels: nine }), /"labels" must be at most 8, received 9/)
  const six = Object.fromEntries(
    Array.from({ length: 6 }, (_, at) => [`l${at}`, { max: 1000 }]),
  ) as LabelRules
  refused(
    () => set.gauge({ name: 'bots', help, labels: six }),
    /"labels" must be fewer, or with fewer values/,
  )
  refused(() => set.gauge({ name: 'bots', help, maxSeries: 0 }), /"maxSeries" must be a whole number/)
  refused(() => set.gauge({ name: 'bots', help, aggregate: 'most' as 'max' }), /"aggregate" must be 'sum'/)
  refused(() => set.histogram({ name: 'x_seconds', help, buckets: [] }), /"buckets" must be 1 to 40 numbers/)
  refused(
    () => set.histogram({ name: 'x_seconds', help, buckets: [2, 1] }),
    /each larger than the one before/,
  )
  refused(
    () => set.histogram({ name: 'x_seconds', help, buckets: [1, Number.POSITIVE_INFINITY] }),
    /40 numbers/,
  )
  refused(() => set.counter({ name: 'x_total', help, bounds: 3 } as never), /"bounds" must be left out/)
  refused(() => set.counter(undefined as never), /metric undefined: "definition" must be an object/)
  t.end()
})

t.test('whoever makes metrics hears once of a label that has no room', (t) => {
  const told: string[] = []
  const set = new MetricSet(new OwnRegistry(), (metric, label) => told.push(`${metric} ${label}`))
  const counter = set.counter({ name: 'told_total', help: 'Told', labels: { a: { max: 1 } } })
  for (const a of ['x', 'y', 'z']) counter.inc({ a })
  t.strictSame(told, ['told_total a'])
  t.end()
})

t.test('the words of a label are the only ones that a caller may write', (t) => {
  const set = new MetricSet(new OwnRegistry())
  const counter = set.counter({ name: 'words_total', help: 'Words', labels: { a: ['x', 'y'] } })
  counter.inc({ a: 'x' })
  // @ts-expect-error: not one of them
  counter.inc({ a: 'z' })
  t.equal(counter.child({ a: 'x' }).value, 1)
  t.end()
})

t.test('its own registry takes a name once, too', (t) => {
  const registry = new OwnRegistry()
  const metric = { name: 'one', help: 'One', type: 'gauge', get: () => ({}) }
  registry.registerMetric(metric)
  registry.registerMetric(metric)
  t.equal(registry.getSingleMetric('one'), metric)
  t.throws(() => registry.registerMetric({ ...metric }), /a metric named one already/)
  t.end()
})

t.test('Accept decides the format', (t) => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
  const version3 =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
  for (const [accept, format] of [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/html', 'text'],
    [prometheus, 'openmetrics'],
    [version3, 'openmetrics'],
    ['text/plain, application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text; version="1.0.0"', 'openmetrics'],
    ['application/openmetrics-text;version=2.0.0', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    ['application/openmetrics-text;q=nonsense', 'text'],
    ['application/openmetrics-text;q=0.2,text/plain;q=0.3', 'text'],
    [`${'a/b,'.repeat(30)}application/openmetrics-text`, 'text'],
    ['constructor', 'text'],
    ['__proto__, application/openmetrics-text', 'openmetrics'],
  ] as const) {
    t.equal(formatOf(accept), format, String(accept))
  }
  t.end()
})
