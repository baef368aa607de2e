// What is made of a provider that is well, slow, wrong, limited and down, over a real connection.

import { HandClock, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import {
  MAX_RETRY_AFTER_MS,
  ProviderClient,
  type ProviderClientOptions,
  retryAfterOf,
} from '../src/provider/provider-client.ts'
import { type Behaviour, documentOf } from '../src/provider/simulator/mode.ts'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'

const { signal: never } = new AbortController()

async function setUp(
  t: Test,
  behaviour: Partial<Behaviour> = {},
  options: Partial<ProviderClientOptions> = {},
) {
  const provider = await ProviderSimulator.start({ behaviour })
  const client = new ProviderClient({ url: provider.url, ...options })
  t.teardown(async () => {
    await client.close()
    await provider.close()
  })
  const feed = (sport = 'chess', signal = never) => client.feed(sport, { signal })
  return { provider, client, feed }
}

t.test('what a provider tells is read', async (t) => {
  const { provider, feed } = await setUp(t)
  const told = await feed()
  t.equal(told.refusedCount, 0)
  t.ok(told.events.length > 30, `${told.events.length} events`)
  t.same(
    told.events.map(({ ref }) => ref),
    provider.truth('chess').events.map(({ id }) => id),
  )
  t.equal(provider.counts().requests, 1)
})

t.test('a path that all addresses begin with stays in front', async (t) => {
  const { provider } = await setUp(t)
  const client = new ProviderClient({ url: `${provider.url}/base/` })
  t.teardown(() => client.close())
  await t.rejects(client.feed('chess', { signal: never }), { message: /has the status 404/ })
})

t.test('of a provider that is partly wrong the rest is taken', async (t) => {
  const { provider, feed } = await setUp(t, { mode: 'invalid' })
  const told = await feed()
  const { events } = provider.truth('chess')
  t.equal(told.refusedCount, Math.ceil(events.length / 2))
  t.equal(told.events.length, Math.floor(events.length / 2))
  t.ok(told.refused.every(({ why }) => why.length > 0))

  await provider.behave({ mode: 'unknown_fields' })
  t.match(await feed(), { refusedCount: 0 })
  t.match(documentOf('unknown_fields', provider.truth('chess')), { venue: {} })
})

t.test('what cannot be used is refused as a whole', async (t) => {
  for (const [mode, why] of [
    ['huge', /is larger than 4194304 bytes/],
    ['wrong_type', /is of the type "text\/html; charset=utf-8"/],
    ['not_json', /is no JSON/],
  ] as const) {
    const { feed } = await setUp(t, { mode })
    await t.rejects(feed(), { code: 'HOLDFAST_ERR_API_PROVIDER_UNREADABLE', message: why }, mode)
  }
  const { feed } = await setUp(t, {}, { maxBodyBytes: 100 })
  await t.rejects(feed(), { message: /is larger than 100 bytes/ }, 'told by its length')
  await t.rejects(feed('curling'), { code: 'HOLDFAST_ERR_API_PROVIDER_UNREADABLE' })
})

t.test('a provider that is down is told as such', async (t) => {
  for (const mode of ['refused', 'reset', 'truncated', 'unavailable'] as const) {
    const { feed } = await setUp(t, { mode, retryAfterSeconds: 0 })
    await t.rejects(feed(), { code: 'HOLDFAST_ERR_API_PROVIDER_UNAVAILABLE', retryAfterMs: undefined }, mode)
  }
})

t.test('whoever is too slow is given up, wherever he stops, and asked again', async (t) => {
  for (const mode of ['slow', 'drip', 'black_hole'] as const) {
    const clock = new HandClock({ wallMs: Date.now() })
    // One byte after the other: the time is that of the whole answer.
    const delayMs = mode === 'drip' ? 5 : 600_000
    const { feed, provider } = await setUp(t, { mode, delayMs }, { timeoutMs: 60_000, clock })
    const asked = feed().catch((error: unknown) => error)
    await waitUntil(() => provider.counts().requests === 1)
    await clock.advance(60_000)
    t.match(await asked, { code: 'HOLDFAST_ERR_API_PROVIDER_TIMEOUT', message: /within 60000 ms/ }, mode)
    t.equal(clock.pendingTimers, 0)
    await provider.behave({})
    t.match(await feed(), { refusedCount: 0 })
  }
})

t.test('whoever leaves is not kept waiting', async (t) => {
  const { feed, provider } = await setUp(t, { mode: 'black_hole' })
  const leaving = new AbortController()
  const asked = feed('chess', leaving.signal)
  await waitUntil(() => provider.counts().requests === 1)
  leaving.abort(new Error('no longer needed'))
  await t.rejects(asked, { message: 'no longer needed' })
  await t.rejects(feed('chess', leaving.signal), { message: 'no longer needed' })
  t.equal(provider.counts().requests, 1, 'and the second time nobody was asked')
})

t.test('a wish for a pause is passed on', async (t) => {
  const { feed, provider } = await setUp(t, { mode: 'limited', retryAfterSeconds: 12 })
  await t.rejects(feed(), { code: 'HOLDFAST_ERR_API_PROVIDER_LIMITED', retryAfterMs: 12_000 })
  await provider.behave({ mode: 'unavailable', retryAfterSeconds: 3 })
  await t.rejects(feed(), { code: 'HOLDFAST_ERR_API_PROVIDER_UNAVAILABLE', retryAfterMs: 3000 })
  await provider.behave({ mode: 'limited', retryAfterSeconds: 1_000_000_000 })
  await t.rejects(
    feed(),
    { code: 'HOLDFAST_ERR_API_PROVIDER_LIMITED', retryAfterMs: MAX_RETRY_AFTER_MS },
    'an hour at most',
  )
})

t.test('a wish is seconds or a date, and nothing else', async (t) => {
  const wallMs = Date.UTC(2026, 10, 22, 12)
  t.equal(retryAfterOf('5', wallMs), 5000)
  t.equal(retryAfterOf(' 0 ', wallMs), 0)
  t.equal(retryAfterOf('Sun, 22 Nov 2026 12:00:30 GMT', wallMs), 30_000)
  t.equal(retryAfterOf('Sun, 22 Nov 2026 11:00:30 GMT', wallMs), 0)
  for (const none of [
    undefined,
    '',
    '-1',
    '1.5',
    'soon',
    '2026-11-22',
    'never GMT',
    ['5', '6'],
    '9'.repeat(13),
  ]) {
    t.equal(retryAfterOf(none, wallMs), undefined, String(none))
  }
})

t.test('what is stale is told as it is: its versions say so', async (t) => {
  const clock = new HandClock()
  const provider = await ProviderSimulator.start({ behaviour: { mode: 'stale' }, clock })
  const client = new ProviderClient({ url: provider.url, clock })
  t.teardown(async () => {
    await client.close()
    await provider.close()
  })
  const told = await client.feed('chess', { signal: never })
  t.same(
    told.events.map(({ version }) => version),
    provider.truth('chess').events.map(({ version }) => Math.max(0, version - 10)),
  )
})
