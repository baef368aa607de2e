// Redis: whether it answers, how old it is, and whether it may throw away what is not a cache.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Cluster, Redis } from 'ioredis'
import { type Config, processesOf } from '../config.ts'
import { createClient } from '../plugins/redis-client.ts'
import { reasonOf } from '../reason.ts'
import { describeRedis, type RedisTarget } from '../redis-target.ts'

/** Scripts and their answers as this service uses them. */
const OLDEST_MAJOR = 6

/** What is asked of each Redis that is set. */
export function redisChecks(config: Config): DeploymentCheck[] {
  const { redisUrl, rateLimitRedisUrl, environment } = config
  if (redisUrl === undefined) {
    const isAlone = environment !== 'production' && processesOf(config) === 1
    const alone: Finding = {
      verdict: isAlone ? 'pass' : 'warn',
      message: 'REDIS_URL is unset: sessions, limits and maintenance are those of one process',
      ...(!isAlone && { hint: 'Set it where there is more than one process.' }),
    }
    return [{ name: 'redis', run: () => alone }]
  }
  return [
    { name: 'redis', run: ({ signal }) => redisFindings('REDIS_URL', redisUrl, signal) },
    ...(rateLimitRedisUrl === undefined
      ? []
      : [
          {
            name: 'limits-redis',
            run: ({ signal }: { readonly signal: AbortSignal }) =>
              redisFindings('RATE_LIMIT_REDIS_URL', rateLimitRedisUrl, signal),
          },
        ]),
  ]
}

async function redisFindings(name: string, target: RedisTarget, signal: AbortSignal): Promise<Finding[]> {
  const client = createClient(target)
  // What it rejects with says that the connection is closed; why, this says.
  let why: unknown
  client.on('error', (error) => {
    why = error
  })
  const end = () => client.disconnect()
  signal.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
    return infoFindings(name, target, await infoOf(client))
  } catch (error) {
    return [
      {
        verdict: 'fail',
        message: `${name} (${describeRedis(target)}) does not answer: ${reasonOf(why ?? error)}`,
        hint: 'Check the address, the password, and that this machine may reach it.',
      },
    ]
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

/** What Redis says about itself, by name. */
async function infoOf(client: Redis | Cluster): Promise<ReadonlyMap<string, string>> {
  const text = await client.info()
  return new Map(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

/** What follows from what Redis says about itself. */
export function infoFindings(
  name: string,
  target: RedisTarget,
  info: ReadonlyMap<string, string>,
): Finding[] {
  const version = info.get('redis_version') ?? ''
  const policy = info.get('maxmemory_policy') ?? ''
  const hasLimit = Number(info.get('maxmemory') ?? 0) > 0
  const data = { version, maxmemory_policy: policy }
  const findings: Finding[] = [
    { verdict: 'pass', message: `${describeRedis(target)} is Redis ${version}`, data },
  ]
  if (Number(version.split('.', 1)[0]) < OLDEST_MAJOR) {
    findings.push({
      verdict: 'fail',
      message: `${name} is Redis ${version}, and the service wants ${OLDEST_MAJOR} or later`,
      hint: 'Upgrade it.',
    })
  }
  if (hasLimit && policy !== '' && policy !== 'noeviction') {
    findings.push({
      verdict: 'fail',
      message: `${name} throws away what it holds when it is full (maxmemory-policy ${policy}): sessions end, limits begin anew`,
      hint: 'Set maxmemory-policy noeviction, and keep caches elsewhere.',
      data,
    })
  }
  return findings
}
