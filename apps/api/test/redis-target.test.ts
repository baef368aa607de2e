import { inspect } from 'node:util'
import t from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'
import { describeRedis, type RedisTarget } from '../src/redis-target.ts'

function targetOf(REDIS_URL: string): RedisTarget {
  const { redisUrl } = loadConfig({ REDIS_URL }).config
  if (redisUrl === undefined) throw new Error('there is none')
  return redisUrl
}

t.test('one server, a master behind Sentinels, and a Cluster have a form each', async (t) => {
  t.match(targetOf('redis://127.0.0.1'), {
    mode: 'standalone',
    tls: false,
    nodes: [{ host: '127.0.0.1', port: 6379 }],
    database: 0,
  })
  t.match(targetOf('rediss://app:s%3Acret@cache.example:6380/2'), {
    tls: true,
    nodes: [{ host: 'cache.example', port: 6380 }],
    username: 'app',
    database: 2,
  })
  t.equal(targetOf('rediss://app:s%3Acret@cache.example/').password?.reveal(), 's:cret')
  t.match(targetOf('redis+sentinel://:word@[::1]:26380,two,three:26379/main/1'), {
    mode: 'sentinel',
    nodes: [
      { host: '::1', port: 26_380 },
      { host: 'two', port: 26_379 },
      { host: 'three', port: 26_379 },
    ],
    masterName: 'main',
    username: undefined,
    database: 1,
  })
  t.match(targetOf('rediss+cluster://a:7000,b:7001/0'), {
    mode: 'cluster',
    tls: true,
    nodes: [{ port: 7000 }, { port: 7001 }],
  })
  t.equal(loadConfig({}).config.redisUrl, undefined)
})

t.test('what is told about it has no user and no password', async (t) => {
  for (const [url, told] of [
    ['redis://u:hidden@h', 'redis://h:6379/0'],
    ['rediss+sentinel://u:hidden@[::1],b/main/3', 'rediss+sentinel://[::1]:26379,b:26379/main/3'],
    ['redis+cluster://:hidden@a,b', 'redis+cluster://a:6379,b:6379'],
  ] as const) {
    const target = targetOf(url)
    t.equal(describeRedis(target), told)
    t.notMatch(inspect(target, { depth: 9 }) + JSON.stringify(target), 'hidden')
  }
})

t.test('every other text is refused with what is wrong and what to write instead', async (t) => {
  const wrongs: [text: string, wrong: RegExp, fix: RegExp][] = [
    ['http://cache', /not the URL of a Redis/, /redis\+sentinel:\/\//],
    ['cache:6379', /not the URL of a Redis/, /forms/],
    ['redis+other://h', /not the URL of a Redis/, /forms/],
    ['redis://', /host that cannot be read/, /host:port/],
    ['redis://h:0', /host that cannot be read/, /host:port/],
    ['redis://h:99999', /host that cannot be read/, /host:port/],
    ['redis+cluster://a,,b', /host that cannot be read/, /commas/],
    ['redis://a,b', /several hosts/, /redis\+sentinel:\/\/ or redis\+cluster:\/\//],
    ['redis://h/x', /not a number/, /\/0/],
    ['redis://h/1/2', /not a number/, /\/0/],
    ['redis+sentinel://h', /call the master/, /master-name/],
    ['redis+sentinel://h/main/x', /not a number/, /\/0/],
    ['redis+sentinel://h/main/0/1', /not a number/, /\/0/],
    ['redis+cluster://h/1', /names a database/, /path out/],
    ['redis://h?db=1', /a query/, /Leave out/],
    ['redis://u:%E0%A4@h', /cannot be decoded/, /Percent-encode/],
    [
      `redis+cluster://${Array.from({ length: 33 }, (_, index) => `h${index}`).join()}`,
      /more than 32/,
      /few/,
    ],
  ]
  for (const [REDIS_URL, wrong, fix] of wrongs) {
    try {
      loadConfig({ REDIS_URL })
      t.fail(REDIS_URL)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      t.match(error.problems, [{ name: 'REDIS_URL', wrong, fix }], REDIS_URL)
    }
  }
})
