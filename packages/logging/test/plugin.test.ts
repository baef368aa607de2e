import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import plugin, { logging } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, logging)
})

t.test('refuses the third pass of a window of two, and opens again with the next', async (t) => {
  const clock = new HandClock()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(logging, { maxPerWindow: 2, windowMs: 1000, clock })
  app.logging.pass()
  app.logging.pass()
  t.same(app.logging.snapshot(), { maxPerWindow: 2, windowMs: 1000, remaining: 0 })
  t.throws(() => app.logging.pass(), {
    code: 'HOLDFAST_ERR_LOGGING_FULL',
    statusCode: 503,
    retryAfterMs: 1000,
  })
  await clock.advance(1000)
  app.logging.pass()
  t.equal(app.logging.snapshot().remaining, 1)
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(logging)
  app.logging.pass()
  t.same(app.logging.snapshot(), { maxPerWindow: 100, windowMs: 1000, remaining: 99 })
})

t.test('a wrong option fails at register(), with what was received', async (t) => {
  for (const [options, message] of [
    [{ maxPerWindow: -1 }, '"maxPerWindow" must be a whole number of at least 0, received -1'],
    [{ windowMs: 0 }, '"windowMs" must be milliseconds from 1 to .*, received 0'],
    [{ windowMs: '5' }, 'received "5"'],
    [
      { windowMS: 5 },
      '"windowMS" must be left out \\(accepted: maxPerWindow, windowMs, clock\\), received 5',
    ],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(logging, wrong), {
      code: 'HOLDFAST_ERR_LOGGING_OPTION',
      message: new RegExp(message),
    })
    await app.close()
  }
})
