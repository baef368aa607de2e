import diagnostics from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import type { RefusedEvent, UpdatedEvent } from '../src/index.ts'
import { limitedApp } from './limited-app.ts'

function listen<E>(t: Test, name: string): E[] {
  const seen: E[] = []
  const listener = (message: unknown) => void seen.push(message as E)
  diagnostics.subscribe(name, listener)
  t.teardown(() => diagnostics.unsubscribe(name, listener))
  return seen
}

t.test('every refusal is told, with its route and buckets; so is every update', async (t) => {
  const refused = listen<RefusedEvent>(t, 'holdfast:tenant-rate-limit:refused')
  const updated = listen<UpdatedEvent>(t, 'holdfast:tenant-rate-limit:updated')
  const { app, statuses } = await limitedApp(t, { policies: { public: '1/minute' }, onLimit: () => 'mine' })
  app.get('/theme', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  await statuses(2, '/theme', { tenant: 'acme' })
  t.match(refused, [
    {
      route: 'GET /theme',
      claims: [{ slotTag: 'acme', cost: 1 }],
      refusal: { violated: ['public'], statusCode: 429 },
    },
  ])
  app.tenantRateLimit.update({ policies: { public: '2/minute' } })
  t.strictSame(updated, [{ version: 2 }])
})
