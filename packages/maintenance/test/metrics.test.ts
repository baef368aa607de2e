import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { maintenance } from '../src/index.ts'

t.test('a scrape shows the snapshot, and a second one does not count twice', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(maintenance, { registry, roles: () => ['admin'] })
  app.post('/', async () => 'ok')
  await app.maintenance.setBanner({ message: 'Tonight.' })
  await app.maintenance.set({ mode: 'read-only' })
  await app.maintenance.set({ id: 'later', from: app.maintenance.wallMs() + 60_000 })
  await app.inject({ method: 'POST', url: '/' })
  await app.inject({ method: 'POST', url: '/', headers: { cookie: 'a=1' } })
  await registry.metrics()
  const text = await registry.metrics()
  for (const line of [
    'holdfast_maintenance_enabled 1',
    'holdfast_maintenance_banner 1',
    'holdfast_maintenance_active{mode="read-only"} 1',
    'holdfast_maintenance_active{mode="block"} 0',
    'holdfast_maintenance_refused_total{mode="read-only"} 1',
    'holdfast_maintenance_passed_total{by="role"} 1',
    'holdfast_maintenance_scheduled 1',
    'holdfast_maintenance_overridden 0',
    'holdfast_maintenance_writes_in_flight 0',
    'holdfast_maintenance_unrecorded 0',
    'holdfast_maintenance_syncs_total',
    'holdfast_maintenance_sync_failures_total 0',
    'holdfast_maintenance_restored_total 0',
    `holdfast_maintenance_version_timestamp_seconds ${app.maintenance.state.version / 1000}`,
  ]) {
    t.ok(text.includes(line), line)
  }
})
