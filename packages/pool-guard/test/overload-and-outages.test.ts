import { HandClock, seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { PoolGuardOptions } from '../src/index.ts'
import { codeOf } from './gate-on-hand-clock.ts'
import { guardsOn, sleeps } from './guard-on-postgres.ts'

const postgres = await startPostgres({ settings: { max_connections: '60' } })
t.teardown(() => postgres.stop())

const guardOf = guardsOn(postgres)

/** A pool on a clock that the test moves, with its connections open: they are held by clients, not by statements. */
async function guardOnHandClock(t: Test, options: PoolGuardOptions = {}) {
  const clock = new HandClock()
  const { guard, log } = guardOf(t, { clock, breaker: false, ...options })
  const hold = (criticality: 'critical' | 'normal') =>
    Promise.all(Array.from({ length: FOR_NORMAL }, () => guard.acquire({ criticality })))
  for (const client of await hold('critical')) client.release()
  await clock.advance(2000)
  return { clock, guard, log, hold: () => hold('normal') }
}

/** Of 20 connections; the rest is kept for critical work. */
const FOR_NORMAL = 17

t.test(
  'three times too much: critical work succeeds, the rest is answered or refused within its bound',
  async (t) => {
    const { guard } = guardOf(t, { critical: { maxWaitMs: 60_000 }, statementTimeoutMs: 60_000 })
    await Promise.all(sleeps(guard, 0.01, 20, 'critical'))
    const tally: Record<string, number> = {}
    let slowestRefusalMs = 0
    const ask = async (criticality: 'critical' | 'normal') => {
      const startedMs = performance.now()
      const code = await codeOf(guard.query('select pg_sleep(0.02)', [], { criticality }))
      if (code !== 'granted') slowestRefusalMs = Math.max(slowestRefusalMs, performance.now() - startedMs)
      const key = `${criticality} ${code}`
      tally[key] = (tally[key] ?? 0) + 1
    }
    let running = true
    const client = async (criticality: 'critical' | 'normal') => {
      while (running) {
        await ask(criticality)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    const clients = [
      ...Array.from({ length: 80 }, () => client('normal')),
      ...Array.from({ length: 5 }, () => client('critical')),
    ]
    const counted = (key: string) => tally[key] ?? 0
    try {
      await waitUntil(() => counted('normal granted') > 0 && counted('normal QUEUE_FULL') > 0)
      await waitUntil(() => guard.pressure.state === 'pressed')
      const before = counted('critical granted')
      await waitUntil(() => counted('critical granted') > before + 20)
    } finally {
      running = false
    }
    await Promise.all(clients)
    t.comment(tally, `slowest refusal ${slowestRefusalMs.toFixed(0)} ms`)
    t.same(
      Object.keys(tally).filter((key) => key.startsWith('critical')),
      ['critical granted'],
    )
  },
)

t.test(
  'pressure comes 250 ms after saturation, goes its time after it, and ignores a burst of 20 ms',
  async (t) => {
    const { clock, guard, log, hold } = await guardOnHandClock(t, { pressure: { clearMs: 300 } })
    const burst = await hold()
    await clock.advance(20)
    for (const client of burst) client.release()
    await clock.advance(500)
    t.equal(guard.pressure.transitions, 0)
    const work = await hold()
    t.ok(guard.saturated, 'at once')
    await clock.advance(249)
    t.equal(guard.pressure.state, 'normal')
    await clock.advance(1)
    t.equal(guard.pressure.state, 'pressed')
    await clock.advance(1000)
    for (const client of work) client.release()
    t.notOk(guard.saturated)
    await clock.advance(299)
    t.equal(guard.pressure.state, 'pressed')
    await clock.advance(1000)
    t.equal(guard.pressure.state, 'normal')
    t.same(log, ['pool "main" is under pressure', 'pool "main" is not under pressure any more'])
  },
)

t.test('a steady load of 70 % changes nothing', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { clock, guard } = await guardOnHandClock(t)
  // 280 a second, of 50 ms each on average, hold 14 connections. Neither comes in bursts: those may be pressure.
  const work: Promise<unknown>[] = []
  for (let atMs = 0; atMs < 1000; ) {
    const pauseMs = (2 * 1000 * random.next()) / 280
    await clock.advance(pauseMs)
    atMs += pauseMs
    const holdMs = 25 + 50 * random.next()
    const held = guard.acquire().then((client) => clock.schedule(holdMs, () => client.release()))
    work.push(codeOf(held))
  }
  await clock.advance(500)
  await Promise.all(work)
  t.equal(guard.snapshot().inUse, 0)
  t.equal(guard.pressure.transitions, 0)
})

t.test('a database that is killed is refused at once, and found again by the probe alone', async (t) => {
  const { guard, log } = guardOf(t)
  await guard.query('select 1')
  await postgres.kill9()
  const codes = await Promise.all(Array.from({ length: 12 }, () => codeOf(guard.query('select 1'))))
  t.notOk(codes.includes('granted'))
  await waitUntil(() => guard.breaker?.state === 'open')
  await t.rejects(guard.query('select 1', [], { criticality: 'critical' }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_OPEN',
    statusCode: 503,
    retryAfterSeconds: 1,
  })
  const opened = guard.snapshot().counts.granted
  await postgres.restart()
  const upMs = performance.now()
  await waitUntil(() => guard.breaker?.state === 'closed')
  t.comment(`${(performance.now() - upMs).toFixed(0)} ms after the restart`)
  t.same(guard.snapshot().counts.granted, opened, 'no request was needed')
  t.same((await guard.query('select 1 as one')).rows, [{ one: 1 }])
  t.match(log, [/cannot connect: ./, /is closed off/, /is open for work again/])
})

t.test(
  'a database that is frozen under load is found out by the probe, before any time-out of a statement',
  async (t) => {
    const { guard } = guardOf(t, {
      max: 4,
      connectTimeoutMs: 500,
      statementTimeoutMs: 60_000,
      breaker: { probeTimeoutMs: 300 },
    })
    await Promise.all(sleeps(guard, 0.01, 4, 'critical'))
    postgres.freeze()
    const startedMs = performance.now()
    try {
      let ended = 0
      const held = sleeps(guard, 0.01, 4, 'critical').map((work) =>
        codeOf(work).finally(() => {
          ended += 1
        }),
      )
      const codes: string[] = []
      while (guard.breaker?.state === 'closed' && performance.now() - startedMs < 20_000) {
        codes.push(await codeOf(guard.query('select 1')))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      t.equal(guard.breaker?.state, 'open')
      t.equal(ended, 0, 'every statement still has its time')
      t.comment(`found out after ${(performance.now() - startedMs).toFixed(0)} ms`)
      t.notOk(codes.includes('granted'))
      postgres.thaw()
      await waitUntil(() => guard.breaker?.state === 'closed')
      await Promise.all(held)
      t.equal(await codeOf(guard.query('select 1')), 'granted')
    } finally {
      postgres.thaw()
    }
  },
)
