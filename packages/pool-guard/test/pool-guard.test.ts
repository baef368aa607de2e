import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import type { PoolScope } from '../src/index.ts'
import { codeOf } from './gate-on-hand-clock.ts'
import { guardsOn, sleeps } from './guard-on-postgres.ts'

const postgres = await startPostgres({ settings: { max_connections: '60' } })
t.teardown(() => postgres.stop())

const guardOf = guardsOn(postgres)

t.test('a query is one acquire, one statement, one release', async (t) => {
  const { guard } = guardOf(t)
  t.same((await guard.query<{ sum: number }>('select $1::int + 1 as sum', [1])).rows, [{ sum: 2 }])
  await t.rejects(guard.query('select nonsense'), { code: '42703' })
  t.match(guard.snapshot(), {
    inUse: 0,
    counts: { granted: { normal: 2 } },
    breaker: { consecutiveFailures: 0 },
  })
  await t.rejects(guard.query('select pg_sleep(5)', [], { timeoutMs: 50 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
  })
  await waitUntil(() => guard.snapshot().inUse === 0)
})

t.test('closing refuses newcomers and whoever waits, and lets work in use finish', async (t) => {
  const { guard } = guardOf(t, { max: 2, maxWaitMs: 60_000 })
  const work = [await guard.acquire(), await guard.acquire({ criticality: 'critical' })]
  const waiting = codeOf(guard.query('select 1'))
  await waitUntil(() => guard.snapshot().waitingBy.normal === 1)
  const closed = guard.close({ graceMs: 60_000 })
  t.equal(await waiting, 'CLOSED')
  await t.rejects(guard.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED' })
  for (const client of work) {
    t.same((await client.query('select 1 as one')).rows, [{ one: 1 }])
    client.release()
  }
  await closed
  await guard.close()
  t.match(guard.snapshot(), { closed: true, connections: { total: 0 } })
})

t.test('closing takes the connection from work that outlasts its grace', async (t) => {
  const { guard } = guardOf(t, { max: 2 })
  await guard.query('select 1')
  const work = codeOf(guard.query('select pg_sleep(10)'))
  const startedMs = performance.now()
  await guard.close({ graceMs: 100 })
  t.ok(performance.now() - startedMs < 5000, 'the statement takes 10 s')
  t.not(await work, 'granted')
})

t.test('closing does not wait for a worker whose search never ends', async (t) => {
  const { guard } = guardOf(t)
  const worker = guard.startWorker({
    name: 'stuck',
    intervalMs: 10,
    jitter: 0,
    find: () => new Promise<undefined>(() => {}),
    save: async () => {},
  })
  await waitUntil(() => worker.snapshot().state === 'finding')
  const startedMs = performance.now()
  await guard.close({ graceMs: 50 })
  t.ok(performance.now() - startedMs < 5000)
})

t.test('a worker saves in a transaction, and close() stops it', async (t) => {
  const { guard, log } = guardOf(t)
  await guard.query('create table odds (value int)')
  const worker = guard.startWorker({
    name: 'odds',
    intervalMs: 20,
    find: async () => 7,
    save: (tx, value) => tx.query('insert into odds values ($1)', [value]),
  })
  await waitUntil(() => worker.snapshot().saved >= 2)
  const { rows } = await guard.query<{ count: number }>(
    'select count(*)::int as count from odds where value = 7',
  )
  t.ok((rows[0]?.count ?? 0) >= 2)
  await guard.close()
  t.equal(worker.snapshot().state, 'stopped')
  t.ok(log.includes('worker "odds": opened, saved, closed'))
})

t.test('the health check asks the database, and says what it found', async (t) => {
  const { guard } = guardOf(t, { pressure: { sustainMs: 0 } })
  const { check } = guard.healthCheck()
  const { signal } = new AbortController()
  t.match(await check({ signal }), {
    status: 'healthy',
    data: { max: 20, pressure: 'normal', breaker: 'closed' },
  })
  const work = sleeps(guard, 0.1, 17)
  t.match(await check({ signal }), { status: 'degraded', reason: 'the pool is under pressure' })
  await Promise.all(work)
  const end = guard.breaker?.isolate('maintenance')
  t.match(await check({ signal }), { status: 'unhealthy', reason: 'the breaker is open: maintenance' })
  end?.()
})

t.test('a process that used the guard and closed it ends by itself', async (t) => {
  const program = `
    import { PoolGuard } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
    const guard = new PoolGuard({
      connectionString: ${JSON.stringify(postgres.url)},
      pooler: { connectionString: ${JSON.stringify(postgres.url)} },
    })
    const worker = guard.startWorker({
      name: 'idle',
      intervalMs: 1,
      find: async () => 1,
      save: (tx) => tx.query('select 1'),
    })
    while (worker.snapshot().saved < 1) await new Promise((resolve) => setTimeout(resolve, 1))
    await Promise.allSettled([
      guard.query('select pg_sleep(20)', [], { timeoutMs: 20 }),
      guard.query('select pg_sleep(20)', [], { signal: AbortSignal.timeout(30) }),
      guard.transaction({}, (tx) => tx.query('select nonsense')),
    ])
    guard.startWorker({
      name: 'stuck',
      intervalMs: 1,
      find: () => new Promise(() => {}),
      save: async () => {},
    })
    await guard.close({ graceMs: 50 })
    console.log('closed')`
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@holdfast/source',
    '--input-type=module',
    '--eval',
    program,
  ])
  t.equal(stdout, 'closed\n')
})

t.test('after callers that left at random moments nothing is held, and nobody waits', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { guard } = guardOf(t, {
    max: 4,
    maxOverflow: 1,
    maxWaiting: 100,
    maxWaitMs: 100,
  })
  const classes = ['critical', 'normal', 'background'] as const
  const wrong: number[] = []
  const ways = [
    async (scope: PoolScope, number: number) => {
      const { rows } = await guard.query('select $1::int as number, pg_sleep(0.002)', [number], scope)
      if (rows[0]?.['number'] !== number) wrong.push(number)
    },
    (scope: PoolScope) =>
      guard.transaction(scope, async (tx) => {
        await tx.query('select pg_sleep(0.002)')
        if (random.next() < 0.3) throw new Error('mine')
      }),
    async (scope: PoolScope) => {
      const client = await guard.acquire(scope)
      void client.query('begin; select pg_sleep(0.01)').catch(() => {})
      client.release()
      client.release()
    },
  ]
  const caller = async (number: number) => {
    const controller = new AbortController()
    const way = ways[number % ways.length]
    const { signal } = controller
    const criticality = classes[random.int(0, 2)] ?? 'normal'
    const deadlineMs = random.next() < 0.2 ? guard.clock.nowMs() + random.next() * 50 : undefined
    const work = way?.({ signal, criticality, deadlineMs, tenant: `t${random.int(0, 4)}` }, number)
    if (random.next() < 0.5) setTimeout(() => controller.abort(), random.next() * 30)
    return codeOf(Promise.resolve(work))
  }
  const codes = new Set<string>()
  for (let wave = 0; wave < 20; wave += 1) {
    const ended = Array.from({ length: 50 }, (_, number) => caller(wave * 50 + number))
    for (const code of await Promise.all(ended)) codes.add(code)
  }
  t.ok(codes.has('granted') && codes.has('ABORTED'), [...codes].join())
  t.same(wrong, [])
  await waitUntil(() => guard.snapshot().inUse === 0)
  const { inUseBy, waitingBy, connections, breaker } = guard.snapshot()
  t.same([inUseBy, waitingBy], Array(2).fill({ critical: 0, normal: 0, background: 0 }))
  t.match(connections, { inUse: 0, connecting: 0 })
  t.equal(breaker?.state, 'closed')
})

t.test('a database that was never there is told once, with the reason', async (t) => {
  const { guard, log } = guardOf(t, { connectionString: 'postgresql://postgres@127.0.0.1:1/none', min: 0 })
  for (let number = 0; number < 4; number += 1) {
    await t.rejects(guard.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', statusCode: 503 })
  }
  t.match(log, [/^pool "main" cannot connect: .*ECONNREFUSED/])
  t.equal(log.length, 1)
})

t.test('nothing is left open after close()', async (t) => {
  const { guard } = guardOf(t)
  const stop = guard.onPressure(() => {})
  stop()
  await guard.query('select 1')
  await guard.close()
  t.equal(guard.snapshot().connections.total, 0)
})
