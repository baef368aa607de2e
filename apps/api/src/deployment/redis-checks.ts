// Redis: whether it answers, runs scripts and takes writes, and whether it may throw away what is not a cache.

import type { Clock } from '@holdfast/footing'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Cluster, Redis } from 'ioredis'
import { type Config, processesOf } from '../config.ts'
import { createClient } from '../plugins/redis-client.ts'
import { reasonOf } from '../reason.ts'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import { adviceOf } from './away.ts'
import { clockFindings } from './clock-finding.ts'
import { failed, warned } from './rules.ts'

/** Scripts and their answers as this service uses them. */
const OLDEST_MAJOR = 6
/** The budget of a command in the service. */
const SLOW_MS = 50
/** Of a process: commands, subscriptions, and one that replaces either. */
const CONNECTIONS_OF_PROCESS = 3
const FULL = 0.9
/** One that is slow may be slow by chance: this process has just begun. */
const ATTEMPTS = 3

interface Asked {
  /** The setting. */
  readonly name: string
  readonly target: RedisTarget
  readonly config: Config
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** What Redis says about itself, by name. */
export type RedisInfo = ReadonlyMap<string, string>

/** What is asked of each Redis that is set. */
export function redisChecks(config: Config, clock: Clock): DeploymentCheck[] {
  const { redisUrl, rateLimitRedisUrl, environment } = config
  const check = (check: string, name: string, target: RedisTarget): DeploymentCheck => ({
    name: check,
    run: ({ signal }) => redisFindings({ name, target, config, clock, signal }),
    hint: adviceOf('no answer', { server: 'Redis', setting: name }),
  })
  const limits =
    rateLimitRedisUrl === undefined ? [] : [check('limits-redis', 'RATE_LIMIT_REDIS_URL', rateLimitRedisUrl)]
  if (redisUrl !== undefined) return [check('redis', 'REDIS_URL', redisUrl), ...limits]
  const message = 'REDIS_URL is unset: sessions, limits and maintenance are those of one process'
  const alone: Finding =
    environment !== 'production' && processesOf(config) === 1
      ? { verdict: 'pass', message }
      : warned('redis-unset', message, 'Set REDIS_URL where there is more than one process.')
  return [{ name: 'redis', run: () => alone }, ...limits]
}

async function redisFindings(asked: Asked): Promise<Finding[]> {
  const { name, target, signal } = asked
  // Who may not ask INFO is no reason to print it, and who still loads says so when asked.
  const client = createClient(target, { enableReadyCheck: false })
  // What it rejects with says that the connection is closed; why, this says.
  let why: unknown
  client.on('error', (error) => {
    why = error
  })
  const end = () => client.disconnect()
  signal.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
    return await askRedis(client, asked)
  } catch (error) {
    const reason = why ?? error
    return [
      failed(
        'redis-away',
        `${name} (${describeRedis(target)}) does not answer: ${reasonOf(reason)}`,
        adviceOf(reason, { server: 'Redis', setting: name }),
      ),
    ]
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

async function askRedis(client: Redis | Cluster, { name, target, config, clock }: Asked): Promise<Finding[]> {
  // The first one pays for what a new connection does.
  await client.ping()
  let [beforeMs, afterMs, theirMs, answerMs] = [0, 0, 0, Number.POSITIVE_INFINITY]
  for (let again = 0; again < ATTEMPTS && answerMs > SLOW_MS; again += 1) {
    const fromMs = clock.nowMs()
    beforeMs = clock.wallMs()
    const [seconds = 0, microseconds = 0] = (await client.time()).map(Number)
    answerMs = Math.round(clock.nowMs() - fromMs)
    afterMs = clock.wallMs()
    theirMs = seconds * 1000 + microseconds / 1000
  }
  const findings = clockFindings({ who: name, theirMs, beforeMs, afterMs })
  if (answerMs > SLOW_MS) {
    const message = `${name} takes ${answerMs} ms to answer, and the service gives up after ${SLOW_MS}`
    findings.push(
      warned('redis-slow', message, 'See its SLOWLOG and its machine, and keep it near to the service.'),
    )
  }
  const scripts = await outcomeOf(client.eval('return 1', 1, 'holdfast:check'))
  if (scripts.error !== undefined) {
    findings.push(
      failed(
        'redis-scripts',
        `${name} runs no scripts: ${reasonOf(scripts.error)}`,
        'Limits and sessions are scripts: let the user of this URL run EVAL and EVALSHA (+@scripting).',
      ),
    )
  }
  const info = await outcomeOf(client.info())
  if (info.value === undefined) {
    const message = `${name} does not tell what it is: ${reasonOf(info.error)}`
    const hint = `Let its user run INFO (+info), or make sure yourself that maxmemory-policy is noeviction.`
    return [...findings, warned('redis-unseen', message, hint)]
  }
  // Unknown where it may not be asked.
  const { value: save = [] } = await outcomeOf(client.config('GET', 'save'))
  const keeps = Array.isArray(save) ? save[1] !== '' : true
  return [...findings, ...infoFindings(config, name, target, readInfo(info.value), keeps)]
}

async function outcomeOf<T>(
  promise: Promise<T>,
): Promise<{ readonly value?: T | undefined; readonly error?: unknown }> {
  try {
    return { value: await promise }
  } catch (error) {
    return { error }
  }
}

function readInfo(text: string): RedisInfo {
  return new Map(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

/** What follows from what Redis says about itself. `takesSnapshots`: it writes its data to the disk now and then. */
export function infoFindings(
  config: Config,
  name: string,
  target: RedisTarget,
  info: RedisInfo,
  takesSnapshots: boolean,
): Finding[] {
  const number = (field: string) => Number(info.get(field) ?? 0)
  const version = info.get('redis_version') ?? ''
  const policy = info.get('maxmemory_policy') ?? ''
  const [most, used] = [number('maxmemory'), number('used_memory')]
  const data = { version, maxmemory_policy: policy, maxmemory_bytes: most, used_bytes: used }
  const findings: Finding[] = []
  if (Number(version.split('.', 1)[0]) < OLDEST_MAJOR) {
    const message = `${name} is Redis ${version}, and the service wants ${OLDEST_MAJOR} or later`
    findings.push(failed('redis-old', message, `Upgrade it to Redis ${OLDEST_MAJOR} or later.`, data))
  }
  if (most > 0 && policy !== '' && policy !== 'noeviction') {
    findings.push(
      failed(
        'redis-evicts',
        `${name} throws away what it holds when it is full (maxmemory-policy ${policy}): sessions end, limits begin anew`,
        'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf; keep caches elsewhere.',
        data,
      ),
    )
  }
  if (most > 0 && used > most * FULL) {
    findings.push(
      warned(
        'redis-full',
        `${name} has used ${Math.round((used / most) * 100)} % of its memory (maxmemory ${most}): when it is full, it takes no writes`,
        `CONFIG SET maxmemory ${Math.ceil(used / FULL)} or more, and the same in redis.conf; see what takes it (redis-cli --bigkeys, MEMORY STATS).`,
        data,
      ),
    )
  }
  findings.push(...writeFindings(name, info), ...crowdFindings(config, name, info))
  if (config.environment === 'production') {
    if (most === 0) {
      findings.push(
        warned(
          'redis-unbounded',
          `${name} has no maxmemory: it grows until the kernel kills it`,
          'CONFIG SET maxmemory to three quarters of what its machine has for it, and the same in redis.conf.',
          data,
        ),
      )
    }
    if (info.get('aof_enabled') === '0' && !takesSnapshots) {
      findings.push(
        warned(
          'redis-forgets',
          `${name} keeps nothing over a restart: everybody is signed out, and limits begin anew`,
          'CONFIG SET appendonly yes, and the same in redis.conf.',
        ),
      )
    }
  }
  return [{ verdict: 'pass', message: `${describeRedis(target)} is Redis ${version}`, data }, ...findings]
}

function writeFindings(name: string, info: RedisInfo): Finding[] {
  if (info.get('role') === 'slave') {
    const message = `${name} is a replica, and takes no writes`
    const hint = 'Let it lead to the master, or to the Sentinels that know who that is (redis+sentinel://).'
    return [failed('redis-read-only', message, hint)]
  }
  const failedToSave = ['rdb_last_bgsave_status', 'aof_last_write_status'].find(
    (field) => info.get(field) === 'err',
  )
  if (failedToSave === undefined) return []
  const message = `${name} could not save its data (${failedToSave}), and takes no writes until it can`
  return [
    failed(
      'redis-read-only',
      message,
      'See its log: the disk is full, or the directory not its own. Then: BGSAVE.',
    ),
  ]
}

function crowdFindings(config: Config, name: string, info: RedisInfo): Finding[] {
  const most = Number(info.get('maxclients') ?? Number.POSITIVE_INFINITY)
  const processes = processesOf(config)
  const wanted = processes * CONNECTIONS_OF_PROCESS
  if (wanted <= most) return []
  return [
    failed(
      'redis-crowded',
      `${processes} processes may open ${wanted} connections to ${name}, which takes ${most} (maxclients)`,
      `CONFIG SET maxclients ${wanted} or more, and the same in redis.conf; its limit of file descriptors with it.`,
      { wanted, maxclients: most },
    ),
  ]
}
