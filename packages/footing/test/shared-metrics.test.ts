import t from 'tap'
import { type Labelled, OptionChecks, SharedMetrics } from '../src/index.ts'

/** As much of a prom-client registry as there has to be. */
class NamesOnly {
  metrics = new Map<string, unknown>()

  registerMetric(metric: { readonly name: string }): void {
    if (this.metrics.has(metric.name)) throw new Error(`${metric.name} has already been registered`)
    this.metrics.set(metric.name, metric)
  }

  getSingleMetric(name: string): unknown {
    return this.metrics.get(name)
  }
}

const checks = new OptionChecks((...said) => Object.assign(new Error(said.join(', ')), { code: 'OPTION' }))

function metricsOf() {
  let describe = (): readonly Labelled<number>[] => []
  const metrics = new SharedMetrics<number>({
    label: 'app',
    option: 'appName',
    checks,
    metric: 'things_total',
    describe(registry, shown) {
      registry.registerMetric({ name: 'things_total' } as never)
      describe = shown
    },
  })
  return { metrics, scrape: () => describe() }
}

t.test('every instance shows its rows until it leaves', async (t) => {
  const registry = new NamesOnly()
  const { metrics, scrape } = metricsOf()
  metrics.share(registry, undefined, () => 1)
  const leave = metrics.share(registry, 'admin', () => 2)
  t.strictSame(scrape(), [
    { labels: {}, snapshot: 1 },
    { labels: { app: 'admin' }, snapshot: 2 },
  ])
  await Promise.resolve()
  leave()
  t.strictSame(scrape(), [{ labels: {}, snapshot: 1 }])
})

t.test('two of one name are refused, with and without a name, and what is there stays', async (t) => {
  for (const name of ['admin', undefined]) {
    const registry = new NamesOnly()
    const { metrics, scrape } = metricsOf()
    metrics.share(registry, name, () => 1)
    t.throws(() => metrics.share(registry, name, () => 2), {
      code: 'OPTION',
      message: /^appName, another one than that of who shares its registry, /,
    })
    t.match(scrape(), [{ snapshot: 1 }])
    metrics.share(new NamesOnly(), name, () => 2)
  }
})

t.test(
  'a name is free again when its owner has left, whose late second leaving takes nobody out',
  async (t) => {
    const registry = new NamesOnly()
    const { metrics, scrape } = metricsOf()
    const leave = metrics.share(registry, 'admin', () => 1)
    leave()
    metrics.share(registry, 'admin', () => 2)
    leave()
    t.match(scrape(), [{ snapshot: 2 }])
  },
)

t.test('one scrape takes one snapshot, the next one another', async (t) => {
  const { metrics, scrape } = metricsOf()
  let taken = 0
  metrics.share(new NamesOnly(), undefined, () => (taken += 1))
  scrape()
  t.match(scrape(), [{ snapshot: 1 }])
  await Promise.resolve()
  t.match(scrape(), [{ snapshot: 2 }])
})

t.test('a registry that was cleared is told again, by all who are still there', async (t) => {
  const registry = new NamesOnly()
  const { metrics, scrape } = metricsOf()
  metrics.share(registry, 'first', () => 1)
  registry.metrics.clear()
  metrics.share(registry, 'second', () => 2)
  t.strictSame([...registry.metrics.keys()], ['things_total'])
  t.match(scrape(), [{ labels: { app: 'first' } }, { labels: { app: 'second' } }])
})

t.test('who could not register the metrics does not hold the name', async (t) => {
  const registry = new NamesOnly()
  let fails = true
  const metrics = new SharedMetrics<number>({
    label: 'app',
    option: 'appName',
    checks,
    metric: 'things_total',
    describe() {
      if (fails) throw new Error('things_total has already been registered')
    },
  })
  t.throws(() => metrics.share(registry, 'admin', () => 1), /already been registered/)
  fails = false
  t.doesNotThrow(() => metrics.share(registry, 'admin', () => 1))
})
