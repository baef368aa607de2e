import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import circuitBreaker from '../src/index.ts'

t.test('a scrape shows states and counts, and a second one does not count twice', async (t) => {
  const registry = new Registry()
  const clock = new HandClock()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker, { registry, defaults: { clock, failureThreshold: 2 } })
  const quotes = app.circuitBreaker.create('quotes')
  app.circuitBreaker.create('idle').isolate('maintenance')
  await quotes.execute(async () => 1)
  for (let call = 0; call < 3; call += 1) await quotes.execute(() => Promise.reject(call)).catch(() => {})
  const state = async () =>
    /circuit_breaker_state\{breaker="quotes"\} (\S+)/.exec(await registry.metrics())?.[1]
  t.equal(await state(), '1')
  await clock.advance(60_000)
  t.equal(await state(), '0.5')
  await quotes.execute(async () => 1)
  t.equal(await state(), '0')
  const text = await registry.metrics()
  for (const line of [
    'circuit_breaker_state{breaker="idle"} 1',
    'holdfast_circuit_breaker_calls_total{breaker="quotes",outcome="success"} 2',
    'holdfast_circuit_breaker_calls_total{breaker="quotes",outcome="failure"} 2',
    'holdfast_circuit_breaker_refused_total{breaker="quotes",reason="open"} 1',
    'holdfast_circuit_breaker_transitions_total{breaker="quotes",to="open"} 1',
    'holdfast_circuit_breaker_transitions_total{breaker="quotes",to="closed"} 1',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  t.notMatch(text, /outcome="ignored"/, 'what has never happened is left out')
})

t.test('these metrics are registered, and only these', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker, { registry })
  t.strictSame(
    registry.getMetricsAsArray().map(({ name }) => name),
    [
      'circuit_breaker_state',
      'holdfast_circuit_breaker_calls_total',
      'holdfast_circuit_breaker_refused_total',
      'holdfast_circuit_breaker_transitions_total',
      'holdfast_circuit_breaker_events_total',
    ],
  )
})

t.test('a registry that is none is refused at registration', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => app.register(circuitBreaker, { registry: {} as Registry }), {
    code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
  })
})

t.test('scopes and applications that share a registry are told apart, until one is closed', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  const other = Fastify()
  t.teardown(() => Promise.all([app.close(), other.close()]))
  for (const own of [{}, { appName: 'admin' }]) {
    await app.register(async (scope) => {
      await scope.register(circuitBreaker, { registry, ...own })
      scope.circuitBreaker.create('database')
    })
  }
  await other.register(circuitBreaker, { registry, appName: 'other' })
  other.circuitBreaker.create('database').isolate('maintenance')
  const states = async () => (await registry.metrics()).match(/^circuit_breaker_state\{.*$/gm)
  t.strictSame(await states(), [
    'circuit_breaker_state{breaker="database"} 0',
    'circuit_breaker_state{app="admin",breaker="database"} 0',
    'circuit_breaker_state{app="other",breaker="database"} 1',
  ])
  await other.close()
  t.strictSame(await states(), [
    'circuit_breaker_state{breaker="database"} 0',
    'circuit_breaker_state{app="admin",breaker="database"} 0',
  ])
})

t.test('two that cannot be told apart are refused at registration', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(circuitBreaker, { registry })
  for (const options of [{ registry }, { appName: '' }]) {
    const other = Fastify()
    t.teardown(() => other.close())
    await t.rejects(async () => other.register(circuitBreaker, options), {
      code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION',
      message: /option "appName" must be/,
    })
  }
})
