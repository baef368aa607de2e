import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of Redis to start. */
export interface RedisOptions {
  /** More arguments of `redis-server`; they win over ours. `['--appendonly', 'no']` forgets on restart. */
  readonly args?: readonly string[]
  /** The direct port. Default: a free one. */
  readonly port?: number | undefined
}

/** Lines of redis.conf by their first words. */
export type RedisSettings = Readonly<Record<string, string | number>>

/**
 * Starts a Redis on loopback, without a password. It writes every command to its append-only file (without
 * waiting for the disk), so that its data survives `kill9` and `restart`.
 */
export async function startRedis(options: RedisOptions = {}): Promise<RealServer> {
  return startRedisServer('Redis', async () => keptSettings, options)
}

/** What lets a server keep its data over `kill9` and `restart`. */
export const keptSettings: RedisSettings = { save: '""', appendonly: 'yes', appendfsync: 'no' }

/**
 * As `keptSettings`, for nodes that copy from each other: neither a copy nor an orderly end waits for stragglers,
 * and a replica counts as one within a second (Cluster hides those that have heard nothing yet).
 */
export const copiedSettings: RedisSettings = {
  ...keptSettings,
  'repl-diskless-sync-delay': 0,
  'repl-ping-replica-period': 1,
  'shutdown-timeout': 0,
}

/**
 * Starts a `redis-server` of any kind from a configuration file of its own, which it may rewrite (Sentinel
 * and the nodes under it do). `settings` is asked again when a port was taken.
 */
export async function startRedisServer(
  name: string,
  settings: () => Promise<RedisSettings>,
  { args = [], port }: RedisOptions = {},
): Promise<RealServer> {
  const command = requireExecutable('redis-server')
  const { path: directory, remove } = temporaryDirectory('redis')
  const configuration = join(directory, 'redis.conf')
  return startRealServer({
    port,
    url: (port) => `redis://127.0.0.1:${port}`,
    cleanUp: remove,
    spec: async (port) => {
      const ours = { port, bind: '127.0.0.1', dir: `"${directory}"`, daemonize: 'no' }
      const lines = Object.entries({ ...ours, ...(await settings()) })
      await writeFile(configuration, lines.map(([key, value]) => `${key} ${value}\n`).join(''))
      return {
        name,
        port,
        command,
        args: [configuration, ...args],
        directory,
        probe: () => probeTcp(port, 'PING\r\n', '+PONG'),
        stopSignal: 'SIGTERM',
        orphanDirectory: directory,
      }
    },
  })
}
