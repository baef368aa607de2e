import { seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { codeOf } from './gate-on-hand-clock.ts'
import { guardsOn, sleeps } from './guard-on-postgres.ts'

const postgres = await startPostgres({ settings: { max_connections: '60' } })
t.teardown(() => postgres.stop())

const guardOf = guardsOn(postgres)

t.test(
  'three times too much: critical work succeeds, the rest is answered or refused within its bound',
  async (t) => {
    const { guard } = guardOf(t)
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
    const endMs = performance.now() + 600
    const client = async (criticality: 'critical' | 'normal') => {
      while (performance.now() < endMs) {
        await ask(criticality)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    await Promise.all([
      ...Array.from({ length: 80 }, () => client('normal')),
      ...Array.from({ length: 5 }, () => client('critical')),
    ])
    t.comment(tally, `slowest refusal ${slowestRefusalMs.toFixed(0)} ms`)
    t.same(
      Object.keys(tally).filter((key) => key.startsWith('critical')),
      ['critical granted'],
    )
    t.ok((tally['normal granted'] ?? 0) > 0)
    t.ok((tally['normal QUEUE_FULL'] ?? 0) > 0)
    t.equal(guard.pressure.state, 'pressed')
  },
)

t.test('pressure comes within 300 ms of saturation, and goes its time after it', async (t) => {
  const { guard, log } = guardOf(t, { pressure: { clearMs: 300 } })
  // Statements and connections would take as long as this machine lets them; what is open already is held by hand.
  await Promise.all(sleeps(guard, 0.01, 17, 'critical'))
  await waitUntil(() => guard.pressure.state === 'normal')
  const { transitions } = guard.pressure
  log.length = 0
  let startedMs = performance.now()
  // What a timer takes on this machine at this moment.
  let timerMs = 0
  setTimeout(() => {
    timerMs = performance.now() - startedMs
  }, 249)
  let trippedMs = 0
  guard.onPressure((state) => {
    if (state === 'pressed') trippedMs = performance.now() - startedMs
  })
  const acquired = Array.from({ length: 17 }, () => guard.acquire())
  startedMs = performance.now()
  t.ok(guard.saturated, 'at once')
  const held = await Promise.all(acquired)
  await waitUntil(() => guard.pressure.state === 'pressed')
  t.ok(trippedMs >= 249 && trippedMs <= Math.max(300, timerMs + 50), `${trippedMs.toFixed(0)} ms`)
  for (const client of held) client.release()
  const releasedMs = performance.now()
  t.notOk(guard.saturated)
  await waitUntil(() => guard.pressure.state === 'normal')
  const clearedMs = performance.now() - releasedMs
  t.ok(clearedMs >= 295, `${clearedMs.toFixed(0)} ms`)
  t.equal(guard.pressure.transitions, transitions + 2)
  t.same(log, ['pool "main" is under pressure', 'pool "main" is not under pressure any more'])
})

t.test('a steady load of 70 % changes nothing', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { guard } = guardOf(t)
  await Promise.all(sleeps(guard, 0.05, 17, 'critical'))
  const exponential = (meanMs: number) => -Math.log(1 - random.next()) * meanMs
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  // Held by timers instead of statements, so that a slow machine does not make the load another one: 280 a second, of
  // 50 ms each, hold 14 connections on average.
  const work: Promise<unknown>[] = []
  const startedMs = performance.now()
  for (let atMs = 0; atMs < 1000; atMs += exponential(1000 / 280)) {
    const aheadMs = atMs - (performance.now() - startedMs)
    if (aheadMs > 1) await wait(aheadMs)
    const held = guard.acquire().then(async (client) => {
      await wait(Math.min(250, exponential(50)))
      client.release()
    })
    work.push(codeOf(held))
  }
  await Promise.all(work)
  t.equal(guard.pressure.transitions, 0)
})

t.test(
  'a database that is killed is refused at once, and found again by the probe alone within 2 s',
  async (t) => {
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
    const foundMs = performance.now() - upMs
    t.ok(foundMs < 2000, `${foundMs.toFixed(0)} ms after the restart`)
    t.same(guard.snapshot().counts.granted, opened, 'no request was needed')
    t.same((await guard.query('select 1 as one')).rows, [{ one: 1 }])
    t.match(log, [/cannot connect: ./, /is closed off/, /is open for work again/])
  },
)

t.test(
  'a database that is frozen under load is found out by the probe, before any time-out of a statement',
  async (t) => {
    const { guard } = guardOf(t, { max: 4, connectTimeoutMs: 500, breaker: { probeTimeoutMs: 300 } })
    await Promise.all(sleeps(guard, 0.01, 4, 'critical'))
    postgres.freeze()
    const startedMs = performance.now()
    try {
      const held = sleeps(guard, 0.01, 4, 'critical').map(codeOf)
      const codes: string[] = []
      while (guard.breaker?.state === 'closed' && performance.now() - startedMs < 5000) {
        codes.push(await codeOf(guard.query('select 1')))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      const openMs = performance.now() - startedMs
      t.ok(openMs < 2500, `${openMs.toFixed(0)} ms, statements have 3000`)
      t.notOk(codes.includes('granted'))
      postgres.thaw()
      const thawedMs = performance.now()
      await waitUntil(() => guard.breaker?.state === 'closed')
      t.ok(performance.now() - thawedMs < 2000)
      await Promise.all(held)
      t.equal(await codeOf(guard.query('select 1')), 'granted')
    } finally {
      postgres.thaw()
    }
  },
)
