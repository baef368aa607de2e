import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { ChangeLog } from '../src/change-log.ts'
import { CompiledDefaults } from '../src/compiled-defaults.ts'
import { CompressionQueue } from '../src/compression-queue.ts'
import { Holdings } from '../src/holdings.ts'
import { resolveOptions } from '../src/options.ts'
import { freezeAndWeigh } from '../src/plain-data.ts'
import { RecencyTable } from '../src/recency-table.ts'
import { RefreshQueue } from '../src/refresh-queue.ts'
import { createIdentityRepresentation } from '../src/representation.ts'
import { cacheOver } from './source.ts'

t.test(
  'a recency table behaves like its model for 20,000 random steps, and never exceeds its bounds',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const bounds = { maxEntries: 8, maxBytes: 100 }
    const left: string[] = []
    const table = new RecencyTable<string>(bounds, (entry) => left.push(entry))
    // The model: a list, the most recently read first.
    let model: { key: string; entry: string; bytes: number }[] = []
    const modelLeft: string[] = []
    const evict = () => {
      while (
        model.length > bounds.maxEntries ||
        model.reduce((sum, { bytes }) => sum + bytes, 0) > bounds.maxBytes
      ) {
        modelLeft.push(model.pop()?.entry ?? '')
      }
    }
    const take = (key: string) => {
      const found = model.find((item) => item.key === key)
      model = model.filter((item) => item !== found)
      return found
    }
    for (let step = 0; step < 20_000; step += 1) {
      const key = `k${random.int(0, 15)}`
      const bytes = random.int(0, 110)
      const action = random.int(0, 9)
      if (action < 4) {
        const accepted = bytes <= bounds.maxBytes
        if (table.set(key, `${key}:${step}`, bytes) !== accepted) t.fail(`step ${step}: accepted`)
        if (accepted) {
          const old = take(key)
          if (old !== undefined) modelLeft.push(old.entry)
          model.unshift({ key, entry: `${key}:${step}`, bytes })
          evict()
        }
      } else if (action < 8) {
        const found = take(key)
        if (found !== undefined) model.unshift(found)
        if (table.get(key) !== found?.entry) t.fail(`step ${step}: get`)
      } else if (action < 9) {
        const found = model.find((item) => item.key === key)
        if (found !== undefined) found.bytes = bytes
        table.reweigh(key, bytes)
        evict()
      } else {
        const found = take(key)
        if (found !== undefined) modelLeft.push(found.entry)
        if (table.delete(key) !== (found !== undefined)) t.fail(`step ${step}: delete`)
      }
      const same =
        table.entries().join() === model.map(({ entry }) => entry).join() &&
        table.size === model.length &&
        table.bytes === model.reduce((sum, item) => sum + item.bytes, 0) &&
        table.look(key) === model.find((item) => item.key === key)?.entry
      if (!same)
        t.fail(`step ${step}: ${table.entries().join()} is not ${model.map(({ entry }) => entry).join()}`)
    }
    t.same(left, modelLeft)
  },
)

t.test('a change log is forgotten when no earlier load is out, and overflows to the safe side', async (t) => {
  const log = new ChangeLog(2)
  log.change('a')
  t.equal(log.size, 0, 'no load is out')
  const first = log.begin()
  log.change('a')
  const second = log.begin()
  log.change('b')
  t.equal(log.changedSince(first, 'a'), true)
  t.equal(log.changedSince(second, 'a'), false)
  t.equal(log.changedSince(second, 'b'), true)
  t.equal(log.size, 2)
  log.end(first)
  t.equal(log.size, 1, 'a is of no use to the second')
  log.change('c')
  log.change('d')
  t.equal(log.size, 0, 'the third name was too many')
  t.equal(log.changedSince(second, 'never changed'), true, 'so everything counts as changed')
  const third = log.begin()
  t.equal(log.changedSince(third, 'b'), false)
  log.end(second)
  log.end(third)
})

t.test('loads that never end cannot grow the change log: the oldest counts as outdated', async (t) => {
  const log = new ChangeLog(10)
  const first = log.begin()
  const second = log.begin()
  for (let load = 0; load < 9_999; load += 1) log.begin()
  t.equal(log.changedSince(first, 'anything'), true)
  t.equal(log.changedSince(second, 'anything'), false)
})

t.test('a queue keeps the lanes apart: made-up keys neither push out nor outlast real ones', async (t) => {
  const queue = new RefreshQueue({ known: 3, unknown: 2 })
  t.equal(queue.add('u1', 'unknown'), 'queued')
  t.equal(queue.add('u2', 'unknown'), 'queued')
  t.equal(queue.add('u3', 'unknown'), 'full')
  t.equal(queue.add('k1', 'known'), 'queued')
  t.equal(queue.add('k1', 'known'), 'waiting')
  t.equal(queue.add('k2', 'known'), 'queued')
  t.equal(queue.add('k3', 'known'), 'queued')
  t.equal(queue.add('k4', 'known'), 'full')
  queue.remove('k3')
  t.equal(queue.size, 4)
  t.same(queue.take(1), { lane: 'known', keys: ['k1'] })
  t.same(queue.take(1), { lane: 'unknown', keys: ['u1'] }, 'the lanes take turns')
  t.same(queue.take(9), { lane: 'known', keys: ['k2'] }, 'never mixed')
  t.same(queue.take(9), { lane: 'unknown', keys: ['u2'] })
  t.same(queue.take(9), { lane: 'unknown', keys: [] })
  queue.add('u4', 'unknown')
  queue.clear()
  t.equal(queue.size, 0)
})

t.test('a made-up key that makes the source fail does not keep real keys from being refreshed', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  await clock.advance(1_000)
  source.answer = (keys) => {
    if (keys.some((key) => key.includes('\0'))) throw new Error('invalid byte sequence')
    return source.found(keys)
  }
  cache.peek('poison\0')
  cache.peek('acme')
  await clock.advance(500)
  t.equal(cache.peek('acme').source, 'fresh')
  await cache.close()
})

t.test('plain data is frozen to any depth and weighed; what has a class is left alone', async (t) => {
  const date = new Date()
  const buffer = Buffer.alloc(1_000)
  const cyclic: Record<string, unknown> = { list: [{ deep: ['x'] }], date, buffer, none: null, one: 1 }
  cyclic['self'] = cyclic
  const bytes = freezeAndWeigh(cyclic, true)
  t.ok(bytes > 1_000 && bytes < 2_000, `${bytes}`)
  t.ok(Object.isFrozen(cyclic))
  t.throws(() => Object.assign((cyclic['list'] as object[])[0] ?? {}, { deep: 1 }), TypeError)
  t.notOk(Object.isFrozen(date))
  t.equal(freezeAndWeigh('four', true), 8)
  t.equal(freezeAndWeigh(7, true), 0)
  t.equal(freezeAndWeigh(undefined, true), 0)
  const open = { a: Object.assign(Object.create(null), { b: 1 }) }
  freezeAndWeigh(open, false)
  t.notOk(Object.isFrozen(open))
  let nested: object = {}
  for (let depth = 0; depth < 100_000; depth += 1) nested = { nested }
  t.ok(freezeAndWeigh(nested, true) > 100_000)
})

t.test('values are frozen when stored, unless that is switched off', async (t) => {
  const { cache } = cacheOver()
  const value = { text: 'blue' }
  cache.set('acme', { value })
  t.ok(Object.isFrozen(value))
  t.equal(cache.peek('acme').value, value)
  await cache.close()
  const open = cacheOver({ freeze: false })
  const other = { text: 'blue' }
  open.cache.set('acme', { value: other })
  t.notOk(Object.isFrozen(other))
  await open.cache.close()
})

t.test('the bound in bytes counts every encoding, and a value larger than it is not stored', async (t) => {
  const body = 'compressible '.repeat(300)
  const { cache } = cacheOver({ maxBytes: 40_000, maxEntries: 100 })
  await cache.ready
  cache.set('a', { value: { text: body } })
  const plain = cache.snapshot().bytes
  t.match(await cache.refresh([]), { loaded: 0 })
  const peeked = cache.peek('a').representation
  const { gzip, br } = peeked
  t.ok(gzip && br, 'the other encodings follow')
  const complete = cache.snapshot().bytes
  t.equal(complete - plain, (gzip?.body.byteLength ?? 0) + (br?.body.byteLength ?? 0))
  for (let index = 0; index < 50; index += 1) {
    cache.set(`key-${index}`, { value: { text: `${body}${index}` } })
    t.ok(cache.snapshot().bytes <= 40_000)
  }
  t.ok(cache.snapshot().evicted > 40)
  await cache.refresh([])
  t.ok(cache.snapshot().bytes <= 40_000, 'also when the encodings have been added')
  t.equal(cache.set('huge', { value: { text: 'x'.repeat(50_000) } }), false)
  t.match(cache.snapshot(), { tooLarge: 1 })
  t.equal(cache.peek('huge').source, 'default')
  await cache.close()
})

t.test(
  'a loaded value that is too large reaches who waits for it, and is not loaded over and over',
  async (t) => {
    const { cache, source } = cacheOver({ maxBytes: 1_000 })
    source.has('huge', 'x'.repeat(2_000))
    t.equal((await cache.get('huge'))?.text.length, 2_000)
    await t.rejects(cache.get('huge'), { code: 'HOLDFAST_ERR_STALE_CACHE_BACKING_OFF' })
    t.equal(source.calls.length, 1)
    await cache.close()
  },
)

t.test('defaults of many keys are bounded; one that cannot be made is the general one', async (t) => {
  let calls = 0
  const defaults = new CompiledDefaults<string>(
    (key) => {
      calls += 1
      if (key === 'bad') throw new Error('no default')
      return key.startsWith('other') ? key : 'general'
    },
    (value) => ({ value, representation: undefined, bytes: 10 }),
    { maxEntries: 2, maxBytes: 15 },
  )
  t.equal(defaults.of('any').value, 'general')
  t.equal(defaults.of('bad').value, 'general')
  t.equal(defaults.of('other 1').value, 'other 1')
  t.equal(defaults.of('other 2').value, 'other 2')
  t.match(defaults, { size: 1, failures: 1 })
  calls = 0
  t.equal(defaults.of('other 2').value, 'other 2')
  t.equal(calls, 0, 'remembered')
})

t.test('bytes that wait to be compressed leave with the values they belong to', async (t) => {
  const { source, cache } = cacheOver({ maxEntries: 4, maxBatchKeys: 10 })
  const waiting: number[] = []
  source.answer = (keys) => {
    waiting.push(cache.snapshot().compressing)
    return keys.map((key) => ({ key, value: { text: key.repeat(100) } }))
  }
  await cache.refresh(Array.from({ length: 500 }, (_, index) => `key${index}`))
  // Two are being compressed besides those that wait.
  t.ok(Math.max(...waiting) <= 4 + 2, `${Math.max(...waiting)} waited`)
  t.equal(cache.snapshot().compressing, 0)
  t.ok(cache.peek('key499').representation.br, 'what is held is compressed')
  await cache.close()
})

t.test('of every key that leaves, whoever waits on its behalf is told', async (t) => {
  const gone: string[] = []
  const options = resolveOptions({ load: async () => [], fallback: () => 0, maxEntries: 2 })
  const holdings = new Holdings<number>(options, (key) => gone.push(key))
  const place = (key: string) =>
    holdings.place({ key, value: 1, order: holdings.changes.next(), asOfMs: 0, origin: 'source' }, 0)
  for (const key of ['a', 'a', 'b']) place(key)
  t.same(gone, [], 'a value that is replaced is still held')
  place('c')
  t.same(gone, ['a'], 'evicted')
  holdings.miss('b', { order: holdings.changes.next(), asOfMs: 0 }, 0)
  t.same(gone, ['a', 'b'], 'unknown to the source')
})

t.test('10,000 values of one key, and 10,000 failing keys, leave nothing growing', async (t) => {
  const { cache, clock, source } = cacheOver({ maxNegativeEntries: 50, maxFlights: 10_000 })
  for (let index = 0; index < 10_000; index += 1)
    cache.set('acme', { value: { text: `${index}` }, tags: [`t${index}`] })
  t.match(cache.snapshot(), { entries: 1, tags: 1, compressing: 3 })
  source.answer = () => Promise.reject(new Error('down'))
  const keys = Array.from({ length: 10_000 }, (_, index) => `key-${index}`)
  await Promise.all(keys.map((key) => cache.get(key).catch(() => undefined)))
  t.match(cache.snapshot(), { negativeEntries: 50, inFlight: 0, queued: 0, loadsRunning: 0, entries: 1 })
  t.equal(source.calls.length, 20)
  await clock.advance(0)
  await cache.close()
})

t.test(
  'what cannot be compressed stays plain, and what is replaced or dropped keeps nobody waiting',
  async (t) => {
    const plain = createIdentityRepresentation({ body: 'x'.repeat(100), contentType: 'text/plain' })
    const strict = new CompressionQueue({ maxBodyBytes: 1 })
    strict.add('a', plain, () => t.fail('done'))
    await strict.settled()
    t.match(strict, { failures: 1, size: 0 })

    const queue = new CompressionQueue({})
    const done: string[] = []
    for (const key of ['a', 'b', 'c', 'c', 'd']) queue.add(key, plain, () => done.push(key))
    t.equal(queue.size, 4, 'the second c replaced the first')
    const settled = queue.settled()
    queue.close()
    queue.add('e', plain, () => t.fail('closed'))
    await settled
    t.same(done.sort(), ['a', 'b'], 'those that were being compressed')
  },
)
