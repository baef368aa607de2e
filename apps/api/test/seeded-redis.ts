// Mistakes of a Redis.

import { rmSync } from 'node:fs'
import { systemClock } from '@holdfast/footing'
import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import { Redis } from 'ioredis'
import { loadConfig } from '../src/config.ts'
import { infoFindings, redisChecks } from '../src/deployment/redis-checks.ts'
import { type Environment, findingsOf, type Mistake, soundProduction } from './seeded-mistakes.ts'

interface Look {
  readonly environment?: Environment
  /** By how much our own clock is ahead. */
  readonly aheadMs?: number
  /** How long each answer seems to take. */
  readonly slowMs?: number
}

/** What is found of the Redis of these settings. */
export function findingsAtRedis(environment: Environment, { aheadMs = 0, slowMs = 0 }: Look = {}) {
  let passedMs = 0
  const clock = {
    ...systemClock,
    wallMs: () => systemClock.wallMs() + aheadMs,
    nowMs: () => {
      passedMs += slowMs
      return systemClock.nowMs() + passedMs
    },
  }
  return findingsOf(redisChecks(loadConfig(environment).config, clock))
}

/** All of them. */
export function redisMistakes(redis: RealServer): readonly Mistake[] {
  const looking = async (url: string, { environment, ...look }: Look = {}) =>
    findingsAtRedis({ ...soundProduction, REDIS_URL: url, ...environment }, look)
  const sound = (look?: Look) => () => looking(redis.directUrl, look)
  /** With these settings, which are taken back. */
  const configured = (settings: Environment, look?: Look) => async () => {
    const client = new Redis(redis.directUrl)
    const before = new Map<string, string>()
    try {
      for (const [name, value] of Object.entries(settings)) {
        const [, was = ''] = (await client.config('GET', name)) as string[]
        before.set(name, was)
        await client.config('SET', name, value)
      }
      return await looking(redis.directUrl, look)
    } finally {
      for (const [name, was] of [...before].reverse()) await client.config('SET', name, was)
      client.disconnect()
    }
  }
  /** As a user who may do this. */
  const allowed = (rules: string) => async () => {
    const client = new Redis(redis.directUrl)
    await client.call(
      'ACL',
      'SETUSER',
      'checker',
      'reset',
      'on',
      '>hidden-from-all',
      '~*',
      '&*',
      ...rules.split(' '),
    )
    client.disconnect()
    return looking(redis.directUrl.replace('://', '://checker:hidden-from-all@'))
  }
  const pretending = (version: string) => async () => {
    const { config } = loadConfig({ ...soundProduction, REDIS_URL: redis.directUrl })
    if (config.redisUrl === undefined) throw new Error('there is none')
    const info = new Map(Object.entries({ redis_version: version, maxmemory: '100', aof_enabled: '1' }))
    return infoFindings(config, 'REDIS_URL', config.redisUrl, info, true)
  }
  /** One of its own, for what cannot be taken back. */
  const alone = (work: (client: Redis, server: RealServer) => Promise<unknown>) => async () => {
    const server = await startRedis({ args: ['--maxmemory', '64mb'] })
    const client = new Redis(server.directUrl)
    try {
      await work(client, server)
      return await looking(server.directUrl)
    } finally {
      client.disconnect()
      await server.stop()
    }
  }
  const processes = (count: string) =>
    configured({ maxclients: '60' }, { environment: { API_PROCESSES: count } })
  return [
    {
      rule: 'redis-unset',
      verdict: 'warn',
      title: 'several processes without one',
      found: /REDIS_URL is unset: sessions.*-> Set REDIS_URL where there is more than one process/,
      broken: () => findingsAtRedis({ API_PROCESSES: '2' }),
      sound: () => findingsAtRedis({ API_PROCESSES: '1' }),
    },
    {
      rule: 'redis-away',
      verdict: 'fail',
      title: 'nothing listens',
      found:
        /REDIS_URL \(redis:\/\/127\.0\.0\.1:1\/0\) does not answer: .*ECONNREFUSED.*-> Nothing listens there\. Start Redis/,
      broken: () => looking('redis://:hidden-from-all@127.0.0.1:1'),
      sound: sound(),
    },
    {
      rule: 'redis-away',
      verdict: 'fail',
      title: 'a wrong password',
      found:
        /does not answer: .*WRONGPASS.*-> It lets nobody in with these words\. Correct user and password of REDIS_URL/,
      broken: () => looking(redis.directUrl.replace('://', '://nobody:hidden-from-all@')),
      sound: sound(),
    },
    {
      rule: 'redis-slow',
      verdict: 'warn',
      title: 'an answer that takes its time',
      found: /REDIS_URL takes \d\d ms to answer, and the service gives up after 50 -> See its SLOWLOG/,
      broken: sound({ slowMs: 60 }),
      sound: sound(),
    },
    {
      rule: 'redis-unseen',
      verdict: 'warn',
      title: 'a user who may not ask what it is',
      found: /REDIS_URL does not tell what it is: NOPERM.*-> .*maxmemory-policy is noeviction/,
      broken: allowed('+@all -info'),
      sound: allowed('+@all'),
    },
    {
      rule: 'redis-scripts',
      verdict: 'fail',
      title: 'a user who may run no scripts',
      found: /REDIS_URL runs no scripts: NOPERM.*-> .*EVAL and EVALSHA/,
      broken: allowed('+@all -@scripting'),
      sound: allowed('+@all'),
    },
    {
      rule: 'redis-old',
      verdict: 'fail',
      title: 'one that is too old',
      found: /REDIS_URL is Redis 5\.0\.14, and the service wants 6 or later -> Upgrade/,
      broken: pretending('5.0.14'),
      sound: pretending('6.0.0'),
    },
    {
      rule: 'redis-evicts',
      verdict: 'fail',
      title: 'one that throws away',
      found: /\(maxmemory-policy allkeys-lru\): sessions end.*-> CONFIG SET maxmemory-policy noeviction/,
      broken: configured({ 'maxmemory-policy': 'allkeys-lru' }),
      sound: configured({ 'maxmemory-policy': 'allkeys-lru', maxmemory: '0' }),
    },
    {
      rule: 'redis-evicts',
      verdict: 'fail',
      title: 'one for limits that throws away',
      found: /RATE_LIMIT_REDIS_URL throws away/,
      broken: configured(
        { 'maxmemory-policy': 'volatile-ttl' },
        { environment: { RATE_LIMIT_REDIS_URL: redis.directUrl } },
      ),
      sound: sound({ environment: { RATE_LIMIT_REDIS_URL: redis.directUrl } }),
    },
    {
      rule: 'redis-full',
      verdict: 'warn',
      title: 'one that is nearly full',
      found: /REDIS_URL has used \d+ % of its memory.*-> CONFIG SET maxmemory \d+ or more/,
      broken: configured({ maxmemory: '1000000' }),
      sound: sound(),
    },
    {
      rule: 'redis-unbounded',
      verdict: 'warn',
      title: 'one that grows for ever',
      found: /REDIS_URL has no maxmemory.*-> CONFIG SET maxmemory to/,
      broken: configured({ maxmemory: '0' }),
      sound: sound(),
    },
    {
      rule: 'redis-forgets',
      verdict: 'warn',
      title: 'one that keeps nothing',
      found: /REDIS_URL keeps nothing over a restart.*-> CONFIG SET appendonly yes/,
      broken: configured({ appendonly: 'no' }),
      sound: configured({ appendonly: 'no', save: '3600 1' }),
    },
    {
      rule: 'redis-read-only',
      verdict: 'fail',
      title: 'a replica',
      found: /REDIS_URL is a replica, and takes no writes -> Let it lead to the master, or to the Sentinels/,
      broken: alone((client) => client.call('REPLICAOF', '127.0.0.1', String(redis.directPort))),
      sound: alone((client) => client.call('REPLICAOF', 'NO', 'ONE')),
    },
    {
      rule: 'redis-read-only',
      verdict: 'fail',
      title: 'one that could not save',
      found: /REDIS_URL could not save its data \(rdb_last_bgsave_status\).*-> See its log: the disk is full/,
      broken: alone(async (client, { directory }) => {
        rmSync(directory, { recursive: true })
        await client.bgsave()
        await waitUntil(
          async () => (await client.info('persistence')).includes('rdb_last_bgsave_status:err'),
          {
            timeoutMs: 30_000,
            what: 'a snapshot that fails',
          },
        )
      }),
      sound: alone((client) => client.bgsave()),
    },
    {
      rule: 'redis-crowded',
      verdict: 'fail',
      title: 'more processes than clients',
      found:
        /21 processes may open 63 connections to REDIS_URL, which takes 60 \(maxclients\) -> CONFIG SET maxclients 63 or more/,
      broken: processes('21'),
      sound: processes('20'),
    },
    {
      rule: 'clock-off',
      verdict: 'warn',
      title: 'a clock that is late',
      found: /the clock of this machine is [45]\.\d s behind that of REDIS_URL/,
      broken: sound({ aheadMs: -5000 }),
      sound: sound({ aheadMs: 1500 }),
    },
  ]
}
