import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import plugin, { poolGuard } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, poolGuard)
})

t.test('refuses the third pass of a window of two, and opens again with the next', async (t) => {
  const clock = new HandClock()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(poolGuard, { maxPerWindow: 2, windowMs: 1000, clock })
  app.poolGuard.pass()
  app.poolGuard.pass()
  t.same(app.poolGuard.snapshot(), { maxPerWindow: 2, windowMs: 1000, remaining: 0 })
  t.throws(() => app.poolGuard.pass(), {
    code: 'HOLDFAST_ERR_POOL_GUARD_FULL',
    statusCode: 503,
    retryAfterMs: 1000,
  })
  await clock.advance(1000)
  app.poolGuard.pass()
  t.equal(app.poolGuard.snapshot().remaining, 1)
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(poolGuard)
  app.poolGuard.pass()
  t.same(app.poolGuard.snapshot(), { maxPerWindow: 100, windowMs: 1000, remaining: 99 })
})

t.test('a wrong option fails at register(), with what was received', async (t) => {
  for (const [options, message] of [
    [{ maxPerWindow: -1 }, '"maxPerWindow": give a whole number of at least 0, received -1'],
    [{ windowMs: 0 }, '"windowMs": give a whole number of at least 1, received 0'],
    [{ windowMs: '5' }, 'received "5"'],
    [{ windowMS: 5 }, '"windowMS": give one of maxPerWindow, windowMs, clock instead, received 5'],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(poolGuard, wrong), {
      code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
      message: new RegExp(message),
    })
    await app.close()
  }
})
