// What the routes do when the database is full, slow or gone: themes never notice, histories are stale or refused at
// once, events pass while there is a database and are refused at once when there is none.

import { randomUUID } from 'node:crypto'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(300_000)

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>> & { readonly items?: readonly { version: string }[] }
}

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function setUp(t: Test) {
  const service = await ServiceApp.start(t, {
    DATABASE_URL: await demoDatabase(postgres.url),
    THEME_REFRESH_INTERVAL: '1h',
  })
  const ask = async (path: string, sent?: object): Promise<Answer> => {
    const answer = await fetch(service.url + path, {
      ...(sent !== undefined && {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(sent),
      }),
    })
    const body = (await answer.json()) as Answer['body']
    return { status: answer.status, headers: answer.headers, body }
  }
  const history = (query = '', tenant = 'acme') => ask(`/${tenant}/api/theme/history${query}`)
  const theme = () => ask('/acme/api/public/load-theme')
  const version = (await history()).body.items?.[0]?.version
  const post = (event_id = randomUUID()) =>
    ask('/acme/api/theme/preview-events', { event_id, theme_version: version, viewport: 'mobile' })
  const { poolGuard } = service.app.fastify
  return { service, poolGuard, history, theme, post }
}

/** As many connections of 20, and 10 for bursts, as reads may have: the rest is kept for critical work. */
const FOR_READS = 27

t.test(
  'with every connection for reads taken, pages are stale or refused, and events are stored',
  async (t) => {
    const { poolGuard, history, theme, post, service } = await setUp(t)
    const clients = await Promise.all(Array.from({ length: FOR_READS }, () => poolGuard.acquire()))
    t.equal(poolGuard.saturated, true)
    t.equal((await theme()).status, 200)

    const stale = await history()
    t.match(stale, { status: 200, body: { items: [{ theme: { brand_name: 'Acme Markets' } }] } })
    t.match(stale.headers.get('warning'), /^110 /)
    t.match(stale.headers.get('age'), /^\d+$/)
    t.equal(stale.headers.get('cache-control'), 'no-store')

    const refused = await history('?limit=7', 'globex')
    t.match(refused, {
      status: 503,
      body: { error: 'HOLDFAST_ERR_API_HISTORY_UNAVAILABLE', retry_after: 1 },
    })
    t.equal(refused.headers.get('retry-after'), '1')
    t.equal(refused.headers.get('content-type'), 'application/problem+json; charset=utf-8')

    for (let turn = 0; turn < 10; turn += 1) t.equal((await post()).status, 201)
    await waitUntil(() => poolGuard.pressure.state === 'pressed')
    t.equal((await post()).status, 201, 'under pressure, too')
    for (const client of clients) client.release()
    await waitUntil(() => poolGuard.pressure.state === 'normal')
    const fresh = await history()
    t.equal(fresh.status, 200)
    t.equal(fresh.headers.get('warning'), null)
    const lines = (text: string) => service.stdout.split(text).length - 1
    t.equal(lines('database\\" is under pressure'), 1, 'one line for the transition')
    t.equal(lines('database\\" is not under pressure any more'), 1, 'and one for its end')
    const errors = service.stdout.split('\n').filter((line) => line.includes('"level":50'))
    t.ok(errors.length > 0)
    for (const line of errors) t.match(line, /"status":503,.*"msg":"request completed"/, 'the refusals alone')
  },
)

t.test('with the database gone, whatever needs it is refused at once, until it is back', async (t) => {
  const { history, theme, post, service, poolGuard } = await setUp(t)
  const eventId = randomUUID()
  const before = await post(eventId)
  await postgres.kill9()
  // The first ones find out; then nobody touches it any more.
  await waitUntil(async () => {
    await post()
    return service.stdout.includes('is closed off')
  })
  const { granted } = poolGuard.snapshot().counts
  for (let turn = 0; turn < 20; turn += 1) {
    const [page, other, event, publicTheme] = await Promise.all([
      history(),
      history('?limit=9'),
      post(eventId),
      theme(),
    ])
    t.equal(page.headers.get('warning'), '110 - "Response is Stale"')
    t.match([page.status, other.status, event.status, publicTheme.status], [200, 503, 503, 200])
    t.match(event.body, { type: 'about:blank', status: 503, error: 'service_unavailable' })
    for (const { headers } of [other, event]) t.match(headers.get('retry-after'), /^[1-9]\d*$/)
  }
  t.strictSame(poolGuard.snapshot().counts.granted, granted, 'nobody waited for a connection')
  await postgres.restart()
  await waitUntil(async () => (await post(eventId)).status === 201)
  const after = await post(eventId)
  t.strictSame(after.body, before.body, 'an event that was stored before is the same one')
  t.equal((await history()).headers.get('warning'), null)
  const lines = (text: string) => service.stdout.split(text).length - 1
  t.equal(lines('is closed off'), 1)
  t.equal(lines('is open for work again'), 1)
})

t.test('a frozen database costs the first requests their budget and the next ones nothing', async (t) => {
  const { history, post, service, poolGuard } = await setUp(t)
  postgres.freeze()
  try {
    const first = await Promise.all([history(), post()])
    t.match(
      first.map(({ status }) => status),
      [200, /^50[34]$/],
    )
    t.equal(first[0]?.headers.get('warning'), '110 - "Response is Stale"')
    await waitUntil(async () => {
      await post()
      return service.stdout.includes('is closed off')
    })
    const { granted } = poolGuard.snapshot().counts
    const next = await Promise.all([history(), post()])
    t.match(
      next.map(({ status }) => status),
      [200, 503],
    )
    t.strictSame(poolGuard.snapshot().counts.granted, granted, 'nobody waited for a connection')
  } finally {
    postgres.thaw()
  }
  await waitUntil(async () => (await post()).status === 201)
})
