/*
 * What goes wrong with @fastify/rate-limit 11, each as a behaviour that it does not show, and ours does: the same test
 * runs on both. Where the cure is a matter of the store, it also runs on @fastify/rate-limit with our store in it.
 */
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { mock } from 'node:test'
import { askRedis, freePort, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { type Contender, type Limited, ourPlugin, ourStore, type Plan, peer } from './contenders.ts'

/** Runs a behaviour that throws an `AssertionError` where it is not shown. */
async function shows(
  title: string,
  contenders: readonly Contender[],
  behaviour: (start: (plan: Plan) => Promise<Limited>) => Promise<void>,
): Promise<void> {
  const run = async (contender: Contender) => {
    const started: Limited[] = []
    try {
      await behaviour(async (plan) => {
        const limited = await contender.start(plan)
        started.push(limited)
        return limited
      })
    } finally {
      for (const limited of started) await limited.close()
    }
  }
  await t.test(title, async (t) => {
    await t.rejects(run(peer), { code: 'ERR_ASSERTION' }, `not with ${peer.name}`)
    for (const contender of contenders) await t.resolves(run(contender), contender.name)
  })
}

const everywhere = [ourStore, ourPlugin]

interface Answer {
  readonly status: number
  readonly remaining: string | undefined
  readonly retryAfterSeconds: number
}

async function ask(
  { app }: Limited,
  url: string,
  key = 'somebody',
  method: 'GET' | 'HEAD' = 'GET',
): Promise<Answer> {
  const { statusCode, headers } = await app.inject({ method, url, headers: { 'x-key': key } })
  return {
    status: statusCode,
    remaining: headers['x-ratelimit-remaining']?.toString(),
    retryAfterSeconds: Number(headers['retry-after']),
  }
}

async function statuses(limited: Limited, urls: readonly string[], key?: string): Promise<readonly number[]> {
  const seen: number[] = []
  for (const url of urls) seen.push((await ask(limited, url, key)).status)
  return seen
}

/** `times` requests one after the other. */
function often(limited: Limited, times: number): Promise<readonly number[]> {
  return statuses(
    limited,
    Array.from({ length: times }, () => '/a'),
  )
}

function letPass(seen: readonly number[]): number {
  return seen.filter((status) => status === 200).length
}

/** Lets time pass for everybody who reads a clock of this process. */
async function pass({ clock }: Limited, ms: number): Promise<void> {
  mock.timers.tick(ms)
  await clock.advance(ms)
}

const oneRoute = [{ url: '/a' }]

await shows('routes of one group share its limit', everywhere, async (start) => {
  const limited = await start({
    max: 2,
    windowMs: 60_000,
    routes: [
      { url: '/a', group: 'shared' },
      { url: '/b', group: 'shared' },
    ],
  })
  assert.deepEqual(await statuses(limited, ['/a', '/b', '/a', '/b']), [200, 200, 429, 429])
})

mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })

await shows('an exponential backoff is kept to, not only announced', [ourStore], async (start) => {
  const limited = await start({ max: 1, windowMs: 300, routes: oneRoute, exponentialBackoff: true })
  await often(limited, 3)
  const { retryAfterSeconds: told } = await ask(limited, '/a')
  assert.equal(told, 2, 'it has doubled, and doubled again')
  await pass(limited, 350)
  const early = await ask(limited, '/a')
  assert.equal(early.status, 429)
  await pass(limited, early.retryAfterSeconds * 1000)
  assert.equal((await ask(limited, '/a')).status, 200)
})

await shows('a client over its limit stays limited, whoever else comes', everywhere, async (start) => {
  const limited = await start({ max: 1, windowMs: 3_600_000, routes: oneRoute })
  assert.deepEqual(await often(limited, 2), [200, 429])
  for (let other = 0; other < 5001; other += 1) await ask(limited, '/a', `other-${other}`)
  assert.deepEqual(await often(limited, 1), [429])
})

await shows('the end of a window lets nobody pass twice as often', everywhere, async (start) => {
  const limited = await start({ max: 10, windowMs: 1000, routes: oneRoute })
  await often(limited, 1)
  await pass(limited, 950)
  const before = await often(limited, 9)
  await pass(limited, 51)
  const after = await often(limited, 10)
  // In 51 ms: what a full bucket holds, and what comes back meanwhile.
  assert.ok(letPass([...before, ...after]) <= 10 + 1)
})

mock.timers.reset()

await shows('what is not found is limited too', [ourPlugin], async (start) => {
  const limited = await start({ max: 1, windowMs: 60_000, routes: oneRoute })
  assert.deepEqual(await statuses(limited, ['/x', '/y', '/x']), [404, 429, 429])
})

await shows('HEAD draws on the bucket of GET', everywhere, async (start) => {
  const limited = await start({ max: 1, windowMs: 60_000, routes: oneRoute })
  assert.equal((await ask(limited, '/a')).status, 200)
  assert.equal((await ask(limited, '/a', 'somebody', 'HEAD')).status, 429)
})

await shows(
  'every limit of a route is kept to, and a refusal takes from none',
  [ourPlugin],
  async (start) => {
    const limited = await start({ max: 1, windowMs: 60_000, routes: oneRoute, ceiling: 2 })
    const seen = []
    for (const key of ['a', 'a', 'b', 'c']) seen.push((await ask(limited, '/a', key)).status)
    assert.deepEqual(seen, [200, 429, 200, 429])
  },
)

const redis = await startRedis()
t.teardown(() => redis.stop())

const inRedis = { url: redis.directUrl }

/** Scripts that Redis has run. */
async function scriptCalls(): Promise<number> {
  const text = String(await askRedis(redis.directPort, 'INFO', 'commandstats'))
  return [...text.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
    (sum, [, calls]) => sum + Number(calls),
    0,
  )
}

await shows('refusing costs next to no calls of Redis', everywhere, async (start) => {
  await askRedis(redis.directPort, 'FLUSHALL')
  const limited = await start({ max: 1, windowMs: 3_600_000, routes: oneRoute, redis: inRedis })
  assert.deepEqual(await often(limited, 2), [200, 429])
  const before = await scriptCalls()
  assert.equal(letPass(await often(limited, 500)), 0)
  // A process says now and then that it lives; that is no question about a request.
  assert.ok((await scriptCalls()) - before <= 50)
})

await shows('no key of one route is a key of another', everywhere, async (start) => {
  await askRedis(redis.directPort, 'FLUSHALL')
  const routes = [{ url: '/a' }, { url: '/a-b' }]
  const limited = await start({ max: 1, windowMs: 3_600_000, routes, redis: inRedis })
  assert.equal((await ask(limited, '/a', 'b-c')).status, 200)
  assert.equal((await ask(limited, '/a-b', 'c')).status, 200)
})

await shows('a key that has lost its expiry limits nobody for longer', everywhere, async (start) => {
  const limited = await start({ max: 2, windowMs: 1000, routes: oneRoute, redis: inRedis })
  // Again where a busy machine was too late for it.
  for (let persisted = 0; persisted === 0; ) {
    await askRedis(redis.directPort, 'FLUSHALL')
    assert.deepEqual(await often(limited, 2), [200, 200])
    const keys = (await askRedis(redis.directPort, 'KEYS', '*')) as readonly string[]
    for (const key of keys) persisted += Number(await askRedis(redis.directPort, 'PERSIST', key))
  }
  const end = performance.now() + 1000
  while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(await often(limited, 1), [200])
})

await shows(
  'limits are kept when Redis is lost, and nobody is told of a full quota',
  everywhere,
  async (start) => {
    const own = await startRedis()
    try {
      const limited = await start({
        max: 3,
        windowMs: 3_600_000,
        routes: oneRoute,
        redis: { url: own.directUrl },
      })
      assert.deepEqual(await often(limited, 1), [200])
      await own.kill9()
      const answers = []
      for (let times = 0; times < 10; times += 1) answers.push(await ask(limited, '/a'))
      assert.ok(letPass(answers.map(({ status }) => status)) <= 3)
      for (const { remaining } of answers) assert.notEqual(remaining, '3')
    } finally {
      await own.stop()
    }
  },
)

await shows('nobody waits for a Redis that cannot be reached', everywhere, async (start) => {
  // Hangs up on everybody, and counts them.
  let connections = 0
  const port = await freePort()
  const server = createServer((socket: Socket) => {
    connections += 1
    socket.on('error', () => {})
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  try {
    const url = `redis://127.0.0.1:${port}`
    const limited = await start({
      max: 3,
      windowMs: 60_000,
      routes: oneRoute,
      redis: { url, mayBeLost: true },
    })
    await often(limited, 1)
    const before = connections
    assert.deepEqual(await often(limited, 1), [200])
    // A request that waits does so until as many attempts have failed as its client makes.
    assert.ok(connections - before < 10, `${connections - before} connections were tried meanwhile`)
  } finally {
    server.close()
  }
})
