import { requireExecutable } from './executable.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of Redis to start. */
export interface RedisOptions {
  /** More arguments of `redis-server`; they win over ours. `['--appendonly', 'no']` forgets on restart. */
  readonly args?: readonly string[]
  /** The direct port. Default: a free one. */
  readonly port?: number
}

/**
 * Starts a Redis on loopback, without a password. It writes every command to its append-only file (without
 * waiting for the disk), so that its data survives `kill9` and `restart`.
 */
export async function startRedis(options: RedisOptions = {}): Promise<RealServer> {
  const command = requireExecutable('redis-server')
  const { path: directory, remove } = temporaryDirectory('redis')
  const settings = {
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    appendonly: 'yes',
    appendfsync: 'no',
    daemonize: 'no',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  return startRealServer({
    port: options.port,
    url: (port) => `redis://127.0.0.1:${port}`,
    cleanUp: remove,
    spec: (port) => ({
      name: 'Redis',
      port,
      command,
      args: ['--port', String(port), ...args, ...(options.args ?? [])],
      directory,
      probe: () => probeTcp(port, 'PING\r\n', '+PONG'),
      stopSignal: 'SIGTERM',
      orphanDirectory: directory,
    }),
  })
}
