// The provider that this repository brings along: what it tells follows from the seed and the clock, and it counts.

import { freePort, HandClock, seededRandom } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { readFeed } from '../src/provider/provider-feed.ts'
import { DEFAULT_FIXTURE, feedAt } from '../src/provider/simulator/fixture.ts'
import { ProviderSimulator, type SimulatorOptions } from '../src/provider/simulator/simulator.ts'

async function simulator(t: Test, options: SimulatorOptions = {}) {
  const started = await ProviderSimulator.start(options)
  t.teardown(() => started.close())
  const ask = (sport = 'chess') => fetch(`${started.url}/v1/sports/${sport}/feed`)
  return { simulator: started, ask }
}

t.test('the same seed tells the same at the same time, and another one tells something else', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const wallMs = random.int(1_600_000_000_000, 1_900_000_000_000)
  const options = { ...DEFAULT_FIXTURE, seed: random.seed % 1000 }
  t.strictSame(feedAt(options, 'chess', wallMs), feedAt(options, 'chess', wallMs))
  t.notSame(
    feedAt({ ...options, seed: options.seed + 1 }, 'chess', wallMs).events,
    feedAt(options, 'chess', wallMs).events,
  )
  t.notSame(feedAt(options, 'golf', wallMs).events, feedAt(options, 'chess', wallMs).events)
})

t.test(
  'events go from scheduled to their end, their versions only grow, and results follow the starts',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const options = { ...DEFAULT_FIXTURE, seed: random.int(0, 1000) }
    const beginMs = random.int(1_600_000_000_000, 1_900_000_000_000)
    const seen = new Map<string, { version: number; statuses: string[]; text: string }>()
    for (let wallMs = beginMs; wallMs < beginMs + 2 * 3_600_000; wallMs += 13_000) {
      const document = feedAt(options, 'football', wallMs)
      const feed = readFeed(JSON.parse(JSON.stringify(document)), 'football', wallMs)
      if (feed?.refusedCount !== 0) throw new Error('what it tells cannot be believed')
      for (const event of document.events) {
        const { id, version, status, starts_at } = event
        const { at: _, ...told } = { ...event, at: undefined }
        const text = JSON.stringify(told)
        const before = seen.get(id)
        if (before !== undefined && version < before.version) t.fail(`${id} went back from ${before.version}`)
        if (before?.version === version && before.text !== text) t.fail(`${id} changed without a new version`)
        if (status === 'finished' && Date.parse(starts_at) > wallMs) t.fail(`${id} ended before its start`)
        const statuses = before?.statuses ?? []
        if (statuses.at(-1) !== status) statuses.push(status)
        seen.set(id, { version, statuses, text })
      }
    }
    const ways = [...seen.values()].map(({ statuses }) => statuses.join(' '))
    t.ok(ways.includes('scheduled live finished'))
    t.ok(
      ways.every((way) => 'scheduled live finished'.includes(way) || 'scheduled live void'.includes(way)),
      ways.join(),
    )
    t.ok(seen.size > 80, `${seen.size} events`)
  },
)

t.test('it counts what it is asked: in a minute, and before the end of a pause', async (t) => {
  const clock = new HandClock()
  const { simulator: provider, ask } = await simulator(t, { clock, limitPerMinute: 5 })
  for (let each = 0; each < 5; each += 1) t.equal((await ask()).status, 200)
  const refused = await ask()
  t.equal(refused.status, 429)
  t.equal(refused.headers.get('retry-after'), '60')
  t.match(provider.counts(), { requests: 6, bySport: { chess: 6 }, mostInAMinute: 6, early: 0, overLimit: 1 })
  await clock.advance(59_999)
  await ask('football')
  t.match(provider.counts(), { mostInAMinute: 7, early: 1 })
  await clock.advance(120_000)
  t.equal((await ask()).status, 200)
  t.match(provider.counts(), { requests: 8, mostInAMinute: 7, early: 1 })
  t.equal((await ask('curling')).status, 404)
})

t.test('it is told by a route how to behave', async (t) => {
  const { simulator: provider, ask } = await simulator(t)
  const control = async (body: unknown) => {
    const answer = await fetch(`${provider.controlUrl}/control`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: await answer.json() }
  }
  t.match(await control({ mode: 'limited', retry_after_seconds: 7 }), {
    status: 200,
    body: { mode: 'limited', retry_after_seconds: 7, requests: 0 },
  })
  t.equal((await ask()).headers.get('retry-after'), '7')
  await control({ mode: 'refused' })
  await t.rejects(ask())
  await control({ mode: 'well' })
  t.equal((await ask()).status, 200, 'on the same port')
  t.match(await (await fetch(`${provider.controlUrl}/control`)).json(), { by_mode: { limited: 1, well: 1 } })
  for (const [wrong, message] of [
    [{}, /^the body must have required property 'mode'$/],
    [{ mode: 'odd' }, /^mode is none of well, slow, .*black_hole$/],
    [{ mode: 'slow', delay_ms: -1 }, /^delay_ms must be >= 0$/],
    [{ mode: 'slow', delay_ms: '1' }, /^delay_ms must be integer$/],
    [{ mode: 'slow', more: 1 }, /^there is no "more"$/],
    [[], /^the body must be object$/],
  ] as const) {
    t.match(await control(wrong), { status: 400, body: { message } }, JSON.stringify(wrong))
  }
  t.equal(provider.behaviour.mode, 'well')
})

t.test('a port that is taken is told, and the other one is closed again', async (t) => {
  const { simulator: provider } = await simulator(t)
  const taken = Number(new URL(provider.url).port)
  await t.rejects(ProviderSimulator.start({ port: taken }), { code: 'EADDRINUSE', port: taken })
  const port = await freePort()
  await t.rejects(ProviderSimulator.start({ port, controlPort: taken }), { code: 'EADDRINUSE', port: taken })
  await t.rejects(fetch(`http://127.0.0.1:${port}/v1/sports/chess/feed`))
})

t.test('a provider of more events than can be believed, or of no sport, is refused', async (t) => {
  await t.rejects(ProviderSimulator.start({ fixture: { everyMs: 1 } }), /more than 1000 events/)
  await t.rejects(ProviderSimulator.start({ sports: ['Chess'] }), /small letters/)
})
