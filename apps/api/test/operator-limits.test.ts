// Limits that an operator changes while the service runs, in two processes on one Redis.

import { askRedis, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { type LimitsAnswer, startLimitedFleet, type ToldLimits } from './limited-fleet.ts'
import { ServiceApp } from './service-app.ts'
import type { ServiceProcess } from './service-process.ts'

t.setTimeout(240_000)

const TRADER = 'acme/trader@acme.example'

t.test('limits change in all processes while they run, and what was used stays used', async (t) => {
  const fleet = await startLimitedFleet(t, { RATE_LIMITS_STATUS: '10/hour', RATE_LIMITS_IP: '1000/hour' })
  const { start, together, toldBy, limits, as, redis } = fleet
  const [one, other] = [await start(), await start()]
  await together(one, other)
  /** On a slow machine Redis may be late for one, and what is left is not told then. */
  const left = async (service: ServiceProcess, user = TRADER) => {
    let told: string | null = null
    await waitUntil(async () => {
      told = (await as(service, user).status()).headers.get('x-rate-limit-remaining')
      return told !== null
    })
    return Number(told)
  }
  const inForce = (service: ServiceProcess, holds: (told: ToldLimits) => boolean) =>
    waitUntil(async () => holds(await toldBy(service)), { timeoutMs: 60_000, what: 'the change' })
  const capacityOf = ({ policies }: ToldLimits, name: string) =>
    (policies as unknown as { policies: { name: string; capacity: number }[] }).policies.find(
      (policy) => policy.name === name,
    )?.capacity

  for (let used = 1; used <= 3; used += 1) await as(one, TRADER).status()
  const before = await left(other)
  t.ok(before >= 1 && before <= 6, `${before} of 10 are left`)

  const change = { limits: { status: '100/hour' }, overrides: { globex: { status: '7/hour' } } }
  const answer = await limits(one, 'PUT', change)
  t.match(answer, {
    status: 200,
    body: {
      limits: { status: '100/hour', start: '10/minute' },
      overrides: change.overrides,
      change,
      shared: true,
    },
  })
  t.match(answer.headers.get('cache-control'), 'no-store')
  await inForce(other, (told) => capacityOf(told, 'bot-status') === 100)
  t.match((await limits(other)).body, { ...answer.body }, 'both tell the same')
  for (const service of [one, other]) {
    const now = await left(service)
    t.ok(now < 10 * before && now >= 10 * before - 9, `${now} are left of 100, where it was ${before} of 10`)
  }
  const ofGlobex = await left(other, 'globex/trader@globex.example')
  t.ok(ofGlobex <= 6, `${ofGlobex} are left of 7`)

  const third = await start()
  t.match((await limits(third)).body, { change }, 'a process that starts later has them from the start')

  // What cannot be kept is refused, and nothing changes.
  const version = async () =>
    (await Promise.all([one, other].map(toldBy))).map(({ policies }) => policies.version)
  const versions = await version()
  for (const [wrong, why] of [
    [{ limits: { status: 'often' } }, /"often", which is not a limit/],
    [{ limits: { status: '20/minute', ip: '60/minute strict' } }, /for addresses/],
    [{ limits: { statsu: '20/minute' } }, /names the limit "statsu".* Write status\./],
    [{ overrides: { acme: { global: '20/minute' } } }, /names the limit "global" in "acme"/],
    [{ overrides: { 'no tenant': { status: '20/minute' } } }, /"no tenant", which can be none/],
    [{ limit: {} }, /the member "limit"/],
    [[], /is no object/],
  ] as const) {
    t.match(await limits(one, 'PUT', wrong), {
      status: 400,
      body: { error: 'HOLDFAST_ERR_API_LIMITS_INVALID', detail: why },
    })
  }
  t.match(await limits(one, 'PUT', 'x'.repeat(300_000)), { status: 413 })
  t.strictSame(await version(), versions)
  t.match((await limits(one)).body, { change })

  // Nobody else looks at them, or changes them.
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const refused: LimitsAnswer = await limits(one, method, undefined, { authorization: 'Bearer nonsense' })
    t.match(refused, { status: 401, body: { error: 'HOLDFAST_ERR_API_UNAUTHORIZED' } }, method)
  }

  // Redis that comes back without its data is told again.
  await askRedis(redis.directPort, 'FLUSHALL')
  await waitUntil(
    async () => String(await askRedis(redis.directPort, 'KEYS', '*limits*')).includes('change'),
    {
      timeoutMs: 60_000,
      what: 'the change to be put back',
    },
  )

  t.match(await limits(other, 'DELETE'), {
    status: 200,
    body: { change: null, limits: { status: '10/hour' } },
  })
  await inForce(one, (told) => capacityOf(told, 'bot-status') === 10)
  t.match((await limits(one)).body, { change: null, overrides: {} })

  // Without Redis the others could not be told.
  await redis.kill9()
  await waitUntil(async () => (await limits(one, 'PUT', change)).status === 503)
  const unavailable = await limits(one, 'PUT', change)
  t.match(unavailable, { status: 503, body: { retry_after: 1 } })
  t.match((await limits(one)).body, { change: null })
})

t.test('the limit of addresses changes, too; a process without Redis says that it is alone', async (t) => {
  const token = 'a-token-of-this-test'
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const { url } = await ServiceApp.start(t, {
    DATABASE_URL: postgres.directUrl,
    RATE_LIMITS_IP: '10/hour',
    METRICS_TOKEN: token,
  })
  const limits = async (method: string, body?: string, authorization = `Bearer ${token}`) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const init = { method, headers: { authorization, ...type }, ...(body !== undefined && { body }) }
    const answer = await fetch(`${url}/admin/limits`, init)
    return { status: answer.status, body: await answer.json() }
  }
  const statuses = async (requests: number) => {
    const seen = []
    for (let turn = 0; turn < requests; turn += 1) seen.push((await fetch(`${url}/nothing`)).status)
    return seen
  }
  t.strictSame(await statuses(5), [404, 404, 404, 404, 404])
  t.match(await limits('GET'), { status: 200, body: { change: null, changed_at: null, shared: false } })
  t.match(await limits('PUT', '{ "limits": { "ip": "4/hour" } }'), {
    status: 200,
    body: { shared: false, limits: { ip: '4/hour' } },
  })
  t.strictSame(await statuses(4), [404, 404, 429, 429], 'half of it was used')
  for (const wrong of ['{ "limits": { "ip": "4" } }', '{}x', 'null']) {
    t.match(await limits('PUT', wrong), { status: 400 }, wrong)
  }
  t.match(await limits('PUT', '{}', 'Bearer nonsense'), { status: 401 })
  t.match(await limits('GET'), { body: { limits: { ip: '4/hour' } } })
  t.match(await limits('DELETE'), { status: 200, body: { shared: false, changed_at: String, change: null } })
  t.strictSame(await statuses(2), [429, 429], 'used is what was used')
})
