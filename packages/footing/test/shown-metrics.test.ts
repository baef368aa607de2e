import t from 'tap'
import { type Labelled, type ShownMetric, showMetrics } from '../src/index.ts'

/** As much of prom-client as is used. */
class FakeMetric {
  static readonly made: FakeMetric[] = []
  readonly configuration: {
    name: string
    labelNames: string[]
    registers: unknown[]
    collect(this: FakeMetric): void
  }
  rows: unknown[] = []

  constructor(configuration: FakeMetric['configuration']) {
    this.configuration = configuration
    FakeMetric.made.push(this)
  }

  reset() {
    this.rows = []
  }

  inc(labels: object, value: number) {
    this.rows.push([labels, value])
  }
}

interface Snapshot {
  readonly held: number
  readonly refused: Readonly<Record<string, number>>
}

const metrics: readonly ShownMetric<Snapshot>[] = [
  { name: 'held', help: 'Held', read: ({ held }) => held },
  { name: 'refused_total', help: 'Refused, by why', label: 'why', read: ({ refused }) => refused },
]

t.test('each metric is what the snapshots of all instances say at that moment, and no more', async (t) => {
  const registry = { registerMetric() {}, getSingleMetric() {} }
  let instances: Labelled<Snapshot>[] = [{ labels: {}, snapshot: { held: 0, refused: {} } }]
  showMetrics(FakeMetric, metrics, { registry, label: 'app', shown: () => instances })
  const [held, refused] = FakeMetric.made
  const rows = () =>
    FakeMetric.made.map((metric) => {
      metric.configuration.collect.call(metric)
      return metric.rows
    })
  t.match(held?.configuration, { name: 'held', help: 'Held', labelNames: ['app'], registers: [registry] })
  t.match(refused?.configuration, { name: 'refused_total', labelNames: ['app', 'why'] })
  t.strictSame(rows(), [[[{}, 0]], []])
  instances = [
    { labels: { app: 'a' }, snapshot: { held: 2, refused: { late: 1, wrong: 0 } } },
    { labels: { app: 'b' }, snapshot: { held: 3, refused: { late: 4 } } },
  ]
  t.strictSame(rows(), [
    [
      [{ app: 'a' }, 2],
      [{ app: 'b' }, 3],
    ],
    [
      [{ app: 'a', why: 'late' }, 1],
      [{ app: 'a', why: 'wrong' }, 0],
      [{ app: 'b', why: 'late' }, 4],
    ],
  ])
  instances = []
  t.strictSame(rows(), [[], []], 'who is gone has no row')
})
