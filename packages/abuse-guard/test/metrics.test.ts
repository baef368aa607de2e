import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import abuseGuard from '../src/index.ts'

t.test('a scrape shows the snapshot, and a second one does not count twice', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard, { registry, maxPerMinute: 2 })
  app.get('/', async () => 'ok')
  for (let request = 0; request < 5; request += 1) await app.inject('/')
  await app.abuseGuard.block('192.0.2.1')
  app.abuseGuard.flag('alice', 'x')
  await registry.metrics()
  const text = await registry.metrics()
  for (const line of [
    'holdfast_abuse_guard_counted_total 3',
    'holdfast_abuse_guard_refused_total 3',
    'holdfast_abuse_guard_blocked 2',
    'holdfast_abuse_guard_blocks_total{origin="automatic"} 1',
    'holdfast_abuse_guard_blocks_total{origin="manual"} 1',
    'holdfast_abuse_guard_blocks_total{origin="learnt"} 0',
    'holdfast_abuse_guard_lenient_total{why="everybody-looks-alike"} 0',
    'holdfast_abuse_guard_flagged_users 1',
    'holdfast_abuse_guard_doubt 0',
    'holdfast_abuse_guard_syncs_total 0',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
})

t.test('every metric is there from the start', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard, { registry })
  const text = await registry.metrics()
  for (const name of [
    'holdfast_abuse_guard_counted_total',
    'holdfast_abuse_guard_refused_total',
    'holdfast_abuse_guard_unreadable_total',
    'holdfast_abuse_guard_unblocks_total',
    'holdfast_abuse_guard_displaced_total',
    'holdfast_abuse_guard_uncounted_for_networks_total',
    'holdfast_abuse_guard_dropped_blocks_total',
    'holdfast_abuse_guard_syncs_total',
    'holdfast_abuse_guard_sync_failures_total',
    'holdfast_abuse_guard_blocked',
    'holdfast_abuse_guard_doubt',
    'holdfast_abuse_guard_flagged_users',
    'holdfast_abuse_guard_blocks_total',
    'holdfast_abuse_guard_lenient_total',
  ]) {
    t.match(text, new RegExp(`^${name}[ {]`, 'm'))
  }
})

t.test('labels have a fixed set of values, whoever is blocked', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard, { registry })
  const lines = async () => (await registry.metrics()).split('\n').length
  const before = await lines()
  for (let at = 0; at < 200; at += 1) await app.abuseGuard.block(`192.0.2.${at}`)
  t.equal(await lines(), before)
})

t.test('instances that share a registry have names, and take their rows with them', async (t) => {
  const registry = new Registry()
  const [one, other] = [Fastify(), Fastify()]
  t.teardown(() => other.close())
  await one.register(abuseGuard, { registry, appName: 'one' })
  await other.register(abuseGuard, { registry, appName: 'other' })
  await t.rejects(async () => Fastify().register(abuseGuard, { registry, appName: 'one' }), /appName/)
  t.match(await registry.metrics(), /holdfast_abuse_guard_blocked\{app="one"\} 0/)
  await one.close()
  t.notMatch(await registry.metrics(), /app="one"/)
})
