import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { concurrencyGuard } from '../src/index.ts'
import { MemoryLeases } from './memory-leases.ts'

t.test('a scrape shows the snapshot, and a second one does not count twice', async (t) => {
  const registry = new Registry()
  const clock = new HandClock()
  const store = new MemoryLeases(clock).store()
  const app = Fastify()
  await app.register(concurrencyGuard, { registry, clock, redis: store, timeoutMs: 100, graceMs: 50 })
  const guard = app.concurrencyGuard
  const first = await guard.begin('a')
  await t.rejects(guard.begin('a'))
  await clock.advance(1500)
  store.lose()
  const second = await guard.begin('b')
  const third = await guard.begin('c')
  await clock.advance(20)
  await third.end()
  await registry.metrics()
  const text = await registry.metrics()
  for (const line of [
    'holdfast_concurrency_guard_operations_total{grant="fenced"} 1',
    'holdfast_concurrency_guard_operations_total{grant="degraded"} 2',
    'holdfast_concurrency_guard_operations_total{grant="local"} 0',
    'holdfast_concurrency_guard_refused_total{reason="held_here"} 1',
    'holdfast_concurrency_guard_refused_total{reason="held_elsewhere"} 0',
    'holdfast_concurrency_guard_events_total{event="timed_out"} 1',
    'holdfast_concurrency_guard_events_total{event="given_up"} 1',
    'holdfast_concurrency_guard_events_total{event="lease_lost"} 0',
    'holdfast_concurrency_guard_ended_total 2',
    'holdfast_concurrency_guard_operation_seconds_total 0.17',
    'holdfast_concurrency_guard_held 1',
    'holdfast_concurrency_guard_waiting 0',
    'holdfast_concurrency_guard_unreturned 0',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  t.equal(first.ended, true)
  second.end()
  await app.close()
})

t.test('labels have a fixed set of values however many keys there are', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  await app.register(concurrencyGuard, { registry })
  const lines = async () => (await registry.metrics()).split('\n').length
  const before = await lines()
  for (let key = 0; key < 1000; key += 1) await app.concurrencyGuard.run(['k', key], {}, () => key)
  t.equal(await lines(), before)
  await app.close()
})

t.test('two apps share a registry by name, and a closed one leaves', async (t) => {
  const registry = new Registry()
  const [one, two, three] = [Fastify(), Fastify(), Fastify()]
  await one.register(concurrencyGuard, { registry })
  await two.register(concurrencyGuard, { registry, appName: 'admin' })
  await t.rejects(async () => three.register(concurrencyGuard, { registry }), {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION',
    message: /"appName"/,
  })
  await two.concurrencyGuard.run('a', {}, () => 1)
  t.ok((await registry.metrics()).includes('holdfast_concurrency_guard_ended_total{app="admin"} 1\n'))
  await two.close()
  t.notOk((await registry.metrics()).includes('admin'))
  await one.close()
  await three.close()
})
