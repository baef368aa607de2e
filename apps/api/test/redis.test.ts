import {
  startPostgres,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  waitUntil,
} from '@holdfast/test-kit'
import t from 'tap'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(300_000)

const TOKEN = 'a-token-of-this-test'
const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function environment(REDIS_URL?: string) {
  return {
    DATABASE_URL: await demoDatabase(postgres.directUrl),
    METRICS_TOKEN: TOKEN,
    ENABLE_METRICS: 'true',
    ...(REDIS_URL !== undefined && { REDIS_URL }),
  }
}

interface Details {
  readonly checks: Readonly<Record<string, { readonly status: string }>>
  readonly reports: {
    readonly redis: { readonly state: string }
    readonly breakers: readonly { readonly name: string; readonly state: string }[]
    readonly pools: readonly Record<string, unknown>[]
  }
}

async function details({ url }: ServiceApp): Promise<Details> {
  const answer = await fetch(`${url}/health/check`, { headers: { authorization: `Bearer ${TOKEN}` } })
  return (await answer.json()) as Details
}

t.test('without REDIS_URL nothing is shared, which is said once', async (t) => {
  const service = await ServiceApp.start(t, await environment())
  t.match(service.stdout, /"REDIS_URL is unset: nothing is shared with other processes"/)
  t.match((await details(service)).reports.redis, { state: 'not configured' })
})

t.test('a Redis that dies and comes back costs one line each way, and no answer', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const service = await ServiceApp.start(t, await environment(redis.url))
  const state = async () => (await details(service)).reports.redis.state
  await waitUntil(async () => (await state()) === 'up')
  t.match(await details(service), {
    checks: { redis: { status: 'healthy' }, database: { status: 'healthy' } },
    reports: {
      breakers: [
        { name: 'database', state: 'closed' },
        { name: 'redis', state: 'closed' },
      ],
      pools: [{ pool_mode: 'transaction' }],
    },
  })
  await redis.kill9()
  await waitUntil(async () => (await state()) === 'down')
  await waitUntil(async () => (await details(service)).checks['redis']?.status === 'unhealthy')
  t.equal((await fetch(`${service.url}/readyz`)).status, 200)
  t.equal((await fetch(`${service.url}/acme/api/public/load-theme`)).status, 200)
  t.equal((await fetch(`${service.url}/acme/api/theme/history`)).status, 200)
  await redis.restart()
  await waitUntil(async () => (await state()) === 'up')
  // A busy machine may make it change more often; every change has its line, and nothing else has.
  const told = [...service.stdout.matchAll(/redis is (not )?usable/g)].map(([, not]) => (not ? 'down' : 'up'))
  t.ok(told.length >= 3, told.join())
  t.strictSame(
    told,
    told.map((_, index) => (index % 2 === 0 ? 'up' : 'down')),
  )
  const metrics = await fetch(`${service.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  const text = await metrics.text()
  t.match(text, /^holdfast_redis_guard_up\{redis="redis"\} 1$/m)
  t.match(text, /^circuit_breaker_state\{breaker="redis"\} 0$/m)
})

t.test('a Redis that is not there, or never answers, does not hold up the start', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  redis.blackhole()
  for (const url of ['redis://127.0.0.1:1', redis.url, 'redis://no-such-host.invalid']) {
    const service = await ServiceApp.start(t, await environment(url))
    t.not((await details(service)).reports.redis.state, 'up')
    t.equal((await fetch(`${service.url}/healthz`)).status, 200)
    await service.app.fastify.close()
  }
})

t.test('a master behind Sentinels, and a Cluster, are used through their URLs', async (t) => {
  const sentinel = await startRedisSentinel()
  t.teardown(() => sentinel.stop())
  const cluster = await startRedisCluster()
  t.teardown(() => cluster.stop())
  const places = (addresses: readonly { host: string; port: number }[]) =>
    addresses.map(({ host, port }) => `${host}:${port}`).join()
  for (const url of [
    `redis+sentinel://${places(sentinel.addresses)}/${sentinel.name}`,
    `redis+cluster://${places(cluster.addresses)}`,
  ]) {
    const service = await ServiceApp.start(t, await environment(url))
    await waitUntil(async () => (await details(service)).reports.redis.state === 'up')
    const guard = service.app.fastify.redisGuard
    const key = guard.key('test', 'slot', 'name')
    // A busy machine may need longer for one answer than the guard waits.
    const ask = (...words: string[]) => guard.call(words[0] ?? '', ...words.slice(1)).catch(() => undefined)
    await waitUntil(async () => String(await ask('set', key, 'value')) === 'OK')
    await waitUntil(async () => String(await ask('get', key)) === 'value')
    t.pass(url)
  }
})
