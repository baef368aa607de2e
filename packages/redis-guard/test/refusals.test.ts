import { HandClock, startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import { GuardedRedis, type GuardedRedisOptions, type RedisScript, redisGuard } from '../src/index.ts'

const echo: RedisScript = { name: 'echo', lua: 'return ARGV', keys: 1 }

t.test('a wrong option is refused, with what was received', async (t) => {
  const url = 'redis://127.0.0.1:1'
  const refused: readonly [object, RegExp][] = [
    [{}, /"client" must be given, or one of url, connection and cluster, received undefined/],
    [{ url: 'http://x' }, /"url" must be a text that begins with 'redis:\/\/'/],
    [{ url, cluster: [{ host: 'a', port: 1 }] }, /"client" must be the only one/],
    [{ client: 5 }, /"client" must be an ioredis Redis or Cluster, received 5/],
    [{ client: {} }, /"client" must be an ioredis Redis or Cluster, received an object/],
    [{ client: { duplicate() {} }, connection: {} }, /"connection" must be left out with client/],
    [{ connection: 5 }, /"connection" must be an object, received 5/],
    [{ cluster: [] }, /"cluster" must be a list of at least one node/],
    [{ cluster: [{ host: '', port: 1 }] }, /"cluster.host" must be a text/],
    [{ cluster: [{ host: 'a', port: 0 }] }, /"cluster.port" must be a whole number from 1 to 65535/],
    [{ url, budgetMs: 0 }, /"budgetMs" must be a whole number from 1 to 60000, received 0/],
    [{ url, maxBatchRows: 129 }, /"maxBatchRows" must be a whole number from 1 to 128, received 129/],
    [{ url, prefix: 'a:b' }, /"prefix" must be 1 to 32 letters, digits, _ and -/],
    [{ url, clock: {} }, /"clock" must be an object with nowMs, wallMs, schedule/],
    [{ url, budget: 5 }, /"budget" must be left out/],
  ]
  for (const [options, message] of refused) {
    t.throws(() => new GuardedRedis(options as GuardedRedisOptions), {
      code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
      message,
    })
  }
  await t.rejects(async () => Fastify().register(redisGuard, { url, startupWaitMs: -1 }), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
  })
  await t.rejects(async () => Fastify().register(redisGuard, { url, colour: 1 } as never), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
  })
})

t.test('a second registration is refused', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const options = { url: 'redis://127.0.0.1:1', startupWaitMs: 0 }
  await app.register(redisGuard, options)
  await t.rejects(async () => app.register(redisGuard, options), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_ALREADY_REGISTERED',
  })
})

t.test('where ioredis cannot be loaded, the reason says so, and calls fail at once', async (t) => {
  const { ClientMissingError } = (await import('../src/index.ts')).errors
  t.match(new ClientMissingError({ cause: new Error('not found') }), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_CLIENT_MISSING',
  })
})

t.test('what cannot work is refused before it is sent', async (t) => {
  const server = await startRedis()
  const guard = new GuardedRedis({ url: server.url })
  t.teardown(() => server.stop())
  t.teardown(() => guard.close())
  await guard.ready(2000)
  await t.rejects(guard.run(echo, [], []), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT',
    message: /takes 1 keys, received 0/,
  })
  await t.rejects(guard.run({ ...echo, keys: 2 }, ['{a}', '{b}'], []), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_KEY',
  })
  await t.rejects(guard.run(echo, [5 as never], []), { code: 'HOLDFAST_ERR_REDIS_GUARD_KEY' })
  await t.rejects(guard.run(echo, ['a'], [undefined as never]), { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT' })
  await t.rejects(guard.run(echo, ['a'], [Number.NaN]), { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT' })
  await t.rejects(guard.run(echo, ['a'], [], { budgetMs: 0.5 }), { code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION' })
  await t.rejects(guard.run({ ...echo, lua: '' }, ['a'], []), { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT' })
  await t.rejects(guard.run({ ...echo, keys: -1 }, ['a'], []), { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT' })
  await t.rejects(guard.run({ ...echo, lua: '#!lua\nreturn 1', batch: true }, ['a'], []), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT',
  })
  for (const command of ['SUBSCRIBE', 'multi', 'BLPOP', 'select', 'Quit', 'psync', '']) {
    const refused = { code: 'HOLDFAST_ERR_REDIS_GUARD_COMMAND', mayHaveRun: false }
    await t.rejects(guard.call(command, 'a'), refused, command)
  }
  for (const words of [
    ['XREAD', 'COUNT', 1, 'block', 0],
    ['xreadgroup', 'GROUP', 'g', 'c', 'BLOCK', '5'],
  ] as const) {
    await t.rejects(guard.call(words[0], ...words.slice(1), 'STREAMS', 'a', '$'), { message: /waiting/ })
  }
  const run = guard.run.bind(guard) as (...wrong: readonly unknown[]) => Promise<unknown>
  for (const wrong of [[], ['a'], ['a', []], [['a'], 'a']]) {
    const refused = { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT', message: /must be lists/, mayHaveRun: false }
    await t.rejects(run(echo, ...wrong), refused, JSON.stringify(wrong))
  }
  for (const options of [null, 5, { signal: 5 }, { budgetMs: '5' }]) {
    const refused = { code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION', mayHaveRun: false }
    await t.rejects(run(echo, ['a'], [], options), refused, JSON.stringify(options))
  }
  for (const channel of [5, '', '\ud800']) {
    t.throws(() => guard.subscribe(channel as string, { onMessage() {}, onGap() {} }), {
      code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
      message: /"channel"/,
    })
  }
  t.throws(() => guard.subscribe('a', { onMessage() {} } as never), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
    message: /"handlers" must be an object with onMessage, onGap/,
  })
  t.match(guard.snapshot(), { inFlight: 0, subscriber: { channels: 0, handlers: 0 } })
  await t.rejects(guard.call('GET', {} as never), { code: 'HOLDFAST_ERR_REDIS_GUARD_COMMAND' })
  t.equal(guard.snapshot().commands, 0)
})

t.test('a closed guard refuses everything, and closing it twice is closing it once', async (t) => {
  const guard = new GuardedRedis({ url: 'redis://127.0.0.1:1', clock: new HandClock() })
  const closing = guard.close()
  t.equal(guard.close(), closing)
  await closing
  await t.rejects(guard.run(echo, ['a'], []), { code: 'HOLDFAST_ERR_REDIS_GUARD_CLOSED' })
  await t.rejects(guard.call('PING'), { code: 'HOLDFAST_ERR_REDIS_GUARD_CLOSED' })
  t.throws(() => guard.subscribe('a', { onMessage() {}, onGap() {} }), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_CLOSED',
  })
  t.equal(await guard.ready(1000), false)
  t.equal(guard.state, 'closed')
})
