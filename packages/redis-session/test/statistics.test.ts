import diagnostics from 'node:diagnostics_channel'
import { health } from '@holdfast/health'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { Activity } from '../src/activity.ts'
import { type OutageEvent, redisSession } from '../src/index.ts'
import { type Outages, startOutages } from './outages.ts'
import { Browser, secrets, sessionApp } from './session-app.ts'

let outages: Outages

t.before(async () => {
  outages = await startOutages()
})
t.teardown(() => outages.stop())

t.test('sessions are counted, those of users and those of nobody', async (t) => {
  await outages.run(async ({ here, there, browser }) => {
    for (const app of [here, there]) await new Browser(app).post('/data', { a: 1 })
    const moved = new Browser(here)
    await moved.post('/data', { a: 1 })
    await moved.post('/login', { userId: 'ben' })
    // A count is believed for five seconds, and notes leave after one: each look is that of a new process.
    const counted = async () => {
      const fresh = await sessionApp({ redis: outages.guards[0], secrets })
      const { signedIn, anonymous } = (await fresh.redisSession.statistics()) ?? {}
      await fresh.close()
      return JSON.stringify([signedIn, anonymous])
    }
    await waitUntil(async () => (await counted()) === '[2,2]')
    t.pass('two and two')
    await browser.post('/logout')
    await there.redisSession.revokeAll('ben')
    await waitUntil(async () => (await counted()) === '[0,2]')
  })
})

t.test('a count is shared, is believed for a while, and is the last one while Redis is away', async (t) => {
  await outages.run(async ({ here, lose }) => {
    const [one, two] = await Promise.all([here.redisSession.statistics(), here.redisSession.statistics()])
    t.ok(one)
    t.equal(one, two)
    lose()
    t.equal(await here.redisSession.statistics(), one)
  })
  await outages.run(async ({ here, lose }) => {
    lose()
    t.equal(await here.redisSession.statistics(), undefined, 'it was never counted')
  })
  await outages.run(
    async ({ here }) => {
      t.equal(await here.redisSession.statistics(), undefined)
    },
    { statistics: false },
  )
  const clock = new HandClock()
  const app = await sessionApp({ clock })
  const browser = new Browser(app)
  await browser.post('/login', { userId: 'ann' })
  t.match(await app.redisSession.statistics(), {
    signedIn: 1,
    anonymous: 0,
    countedAt: new Date(clock.wallMs()),
  })
  await browser.post('/logout')
  t.match(await app.redisSession.statistics(), { signedIn: 1 })
  await clock.advance(5000)
  t.match(await app.redisSession.statistics(), { signedIn: 0 })
  await app.close()
})

t.test('what is noted is bounded, and leaves together', async (t) => {
  const clock = new HandClock()
  const calls: (readonly unknown[])[] = []
  const redis = {
    available: false,
    run: () => Promise.reject(new Error('no script')),
    call: async (...call: readonly unknown[]) => calls.push(call),
    key: (...parts: readonly string[]) => parts.join(':'),
  }
  const activity = new Activity(redis, clock)
  const address = (at: number) => ({ tag: '0a00', hash: `hash-${at}` })
  for (let at = 0; at < 2000; at += 1) activity.note('users', address(at), 5000)
  await clock.advance(1000)
  t.same(calls, [])
  redis.available = true
  activity.forget(address(1999))
  await clock.advance(1000)
  const [users = []] = calls.filter(([command]) => command === 'ZADD')
  t.equal(users.length, 2 + 2 * 999, 'the oldest were forgotten')
  t.same(
    calls.filter(([command]) => command === 'ZREM').map(([, key, hash]) => `${key} ${hash}`),
    ['redis-session:a0:users hash-1999', 'redis-session:a0:nobody hash-1999'],
  )
  t.same(calls.map(([command]) => command).filter((command) => command === 'ZADD').length, 1)
  activity.note('nobody', address(1), 5000)
  activity.close()
  t.equal(calls.filter(([command]) => command === 'ZADD').length, 2, 'what is left goes on the way out')
  t.equal(clock.pendingTimers, 0)
})

t.test('an outage is told, shown and no reason to end the process', async (t) => {
  await outages.run(async ({ lose, heal }) => {
    const told: OutageEvent[] = []
    const listener = (event: unknown) => told.push(event as OutageEvent)
    const registry = new Registry()
    const app = Fastify()
    await app.register(health)
    await app.register(redisSession, {
      redis: outages.guards[0],
      secrets,
      registry,
      cookie: { secure: false },
    })
    await app.ready()
    diagnostics.subscribe('holdfast:redis-session:outage', listener)
    t.teardown(() => diagnostics.unsubscribe('holdfast:redis-session:outage', listener))
    t.match(await registry.metrics(), 'holdfast_redis_session_outage 0\n')
    const check = () => app.health.snapshot().checks.find(({ name }) => name === 'sessions')
    await waitUntil(() => check()?.level === 'healthy')
    t.match(check()?.data, { available: true, statistics: { signedIn: Number } })
    lose()
    t.match(await registry.metrics(), 'holdfast_redis_session_outage 1\n')
    await app.redisSession.revokeAll('ann')
    t.match(await registry.metrics(), 'holdfast_redis_session_untold 1\n')
    t.match(app.redisSession.snapshot(), { outage: true, available: false, untold: 1 })
    await waitUntil(() => check()?.level === 'degraded')
    t.equal(check()?.reason, 'Redis is away: who is signed in is believed for a while')
    t.equal((await app.inject('/readyz')).statusCode, 200)
    await heal()
    t.match(app.redisSession.snapshot(), { outage: false, available: true })
    t.equal(told[0]?.state, 'began')
    t.equal(told.at(-1)?.state, 'ended')
    t.match(told.at(-1), { untold: 0 })
    t.ok((told.at(-1)?.forMs ?? 0) > 0)
    await app.close()
  })
})
