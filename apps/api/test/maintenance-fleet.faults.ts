// Maintenance in several processes, while Redis loses messages, its life and its data.

import { askRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { startProcessFleet, TOKEN } from './process-fleet.ts'
import type { ServiceProcess } from './service-process.ts'
import { ask } from './sign-in-client.ts'

t.setTimeout(600_000)

const OPERATOR = { authorization: `Bearer ${TOKEN}` }

const isClosed = async ({ url }: ServiceProcess) => {
  const { status } = await ask(url, 'POST', '/api/bot/start', { bot_id: '1' })
  // Nobody is signed in: open, that is all that is wrong.
  return status === 503
}
const turn = ({ url }: ServiceProcess, what: 'enable' | 'disable', body?: object) =>
  ask(url, 'POST', `/admin/maintenance/${what}`, body, OPERATOR)

/** Milliseconds until a process does as it was told. */
async function switched(service: ServiceProcess, closed: boolean): Promise<number> {
  const sinceMs = performance.now()
  await waitUntil(async () => (await isClosed(service)) === closed, {
    what: closed ? 'a process to close' : 'a process to open',
    timeoutMs: 60_000,
    intervalMs: 5,
  })
  return performance.now() - sinceMs
}

t.test('what is closed at one process is closed at all, whatever happens to Redis', async (t) => {
  const { redis, start } = await startProcessFleet(t, {})
  const [one, two] = [await start(), await start()]

  // A process that has just started may still be connecting.
  await waitUntil(async () => (await turn(one, 'disable')).status === 200, {
    timeoutMs: 60_000,
    what: 'Redis',
  })

  for (let round = 1; round <= 5; round += 1) {
    t.match(await turn(one, 'enable'), { status: 200 })
    const closing = await switched(two, true)
    t.comment(`closed after ${Math.round(closing)} ms`)
    t.ok(closing < 1000, `closed after ${Math.round(closing)} ms`)
    t.match(await turn(two, 'disable'), { status: 200 })
    const opening = await switched(one, false)
    t.ok(opening < 1000, `open after ${Math.round(opening)} ms`)
  }

  await t.test('messages are lost: within six seconds', async (t) => {
    await askRedis(redis.directPort, 'ACL', 'SETUSER', 'default', 'resetchannels')
    for (let round = 1; round <= 2; round += 1) {
      t.match(await turn(one, 'enable'), { status: 200 })
      const closing = await switched(two, true)
      t.comment(`without word closed after ${Math.round(closing)} ms`)
      t.ok(closing < 6000, `closed after ${Math.round(closing)} ms`)
      t.match(await turn(two, 'disable'), { status: 200 })
      const opening = await switched(one, false)
      t.ok(opening < 6000, `open after ${Math.round(opening)} ms`)
    }
    await askRedis(redis.directPort, 'ACL', 'SETUSER', 'default', 'allchannels')
  })

  await turn(one, 'enable', { reason: 'change 4711' })
  await switched(two, true)

  await t.test('Redis is killed: closed it stays, nothing can be changed, a start finds it', async (t) => {
    await redis.kill9()
    await waitUntil(async () => (await turn(one, 'disable')).status === 503, {
      timeoutMs: 60_000,
      what: 'a refusal',
    })
    t.match((await turn(two, 'disable')).body, { error: 'HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE' })
    const three = await start()
    for (const service of [one, two, three]) t.equal(await isClosed(service), true)
    const { body } = await ask(three.url, 'GET', '/admin/maintenance', undefined, OPERATOR)
    t.match(body, { rules: [{ id: 'maintenance', reason: 'change 4711' }] })
  })

  await t.test('Redis is back without its data: it is told again', async (t) => {
    await redis.restart()
    await askRedis(redis.directPort, 'FLUSHALL')
    await waitUntil(
      async () => String(await askRedis(redis.directPort, 'KEYS', '*maintenance*state*')).includes('state'),
      {
        timeoutMs: 60_000,
        what: 'the state to be put back',
      },
    )
    await askRedis(redis.directPort, 'FLUSHALL')
    const four = await start()
    for (const service of [one, two, four]) t.equal(await isClosed(service), true)
    await waitUntil(async () => (await turn(four, 'disable')).status === 200, {
      timeoutMs: 60_000,
      what: 'Redis',
    })
    for (const service of [one, two, four]) await switched(service, false)
  })
})

t.test('a window begins and ends in all processes by itself', async (t) => {
  const { start } = await startProcessFleet(t, {})
  const [one, two] = [await start(), await start()]
  const { body } = await ask(one.url, 'GET', '/admin/maintenance', undefined, OPERATOR)
  t.match(body, { rules: [], maintenance_enabled: false })
  const from = Date.now() + 3000
  const until = from + 3000
  const window = { from: new Date(from).toISOString(), until: new Date(until).toISOString() }
  t.match((await turn(one, 'enable', window)).body, { maintenance_enabled: false })
  await waitUntil(
    async () =>
      /^Maintenance begins at /.test(
        String((await ask(two.url, 'GET', '/api/status')).body['banner_message']),
      ),
    { timeoutMs: 2500, what: 'the announcement' },
  )
  await Promise.all([switched(one, true), switched(two, true)])
  t.ok(Date.now() >= from - 50, 'not before')
  await Promise.all([switched(one, false), switched(two, false)])
  t.ok(Date.now() >= until - 50, 'and not before its end')
})

t.test('workers without Redis find it in the database', async (t) => {
  const { start } = await startProcessFleet(t, { REDIS_URL: '', API_WORKERS: '2' })
  const service = await start()
  /** By workers in turn, as a new connection goes to the next one. */
  const isClosedByAll = async (closed: boolean) => {
    for (let at = 0; at < 6; at += 1) {
      const { status } = await ask(
        service.url,
        'POST',
        '/api/bot/start',
        { bot_id: '1' },
        { connection: 'close' },
      )
      if ((status === 503) !== closed) return false
    }
    return true
  }
  for (const closed of [true, false]) {
    t.match(await turn(service, closed ? 'enable' : 'disable'), { status: 200, body: { recorded: true } })
    const sinceMs = performance.now()
    await waitUntil(() => isClosedByAll(closed), { timeoutMs: 60_000, intervalMs: 50, what: 'all to know' })
    t.comment(`all ${closed ? 'closed' : 'open'} after ${Math.round(performance.now() - sinceMs)} ms`)
  }
})

t.test('PostgreSQL is dead: it can be closed and opened all the same, and is recorded later', async (t) => {
  const { postgres, start } = await startProcessFleet(t, {})
  const one = await start()
  await waitUntil(async () => (await turn(one, 'disable')).status === 200, {
    timeoutMs: 60_000,
    what: 'Redis',
  })
  await postgres.kill9()
  t.match(await turn(one, 'enable', { reason: 'the database is dead' }), {
    status: 200,
    body: { recorded: false },
  })
  t.equal(await isClosed(one), true)
  await postgres.restart()
  await waitUntil(
    async () => {
      const { body } = await ask(one.url, 'GET', '/admin/maintenance/history', undefined, OPERATOR)
      return body.items?.some(({ reason }) => reason === 'the database is dead') === true
    },
    { timeoutMs: 120_000, what: 'the row of the change' },
  )
  t.match(await turn(one, 'disable'), { status: 200, body: { recorded: true } })
})
