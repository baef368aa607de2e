import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type Identity, unprivilegedIdentity } from './identity.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of PgBouncer to start. */
export interface PgBouncerOptions {
  /** The PostgreSQL behind it, reached at its `url`: through its proxy, so that its faults are seen here. */
  readonly target: { readonly url: string }
  /** By name as in the `[pgbouncer]` section; they win over ours. Default `pool_mode=transaction`. */
  readonly settings?: Readonly<Record<string, string>>
  /** The direct port. Default: a free one. */
  readonly port?: number
}

// An SSLRequest, which is answered by one letter: N for "no". It asks nothing of the server behind.
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Starts a PgBouncer on loopback that serves every database of `target` to everybody as user `postgres`, who
 * may also use its console (database `pgbouncer`). As root it runs as the user `postgres`.
 */
export async function startPgBouncer({ target, settings, port }: PgBouncerOptions): Promise<RealServer> {
  const command = requireExecutable('pgbouncer')
  const identity = unprivilegedIdentity()
  const { path: directory, remove } = temporaryDirectory('pgbouncer', identity)
  const configuration = join(directory, 'pgbouncer.ini')
  const { hostname, port: targetPort, username, password } = new URL(target.url)
  const secret = password === '' ? '' : ` password=${password}`
  const users = join(directory, 'users.txt')
  await writePrivately(users, `"${username}" ""\n`, identity)
  return startRealServer({
    port,
    url: (port) => `postgresql://${username}@127.0.0.1:${port}/postgres`,
    cleanUp: remove,
    spec: async (port) => {
      const all = {
        listen_addr: '127.0.0.1',
        listen_port: String(port),
        unix_socket_dir: '',
        auth_type: 'trust',
        auth_file: users,
        admin_users: username,
        pool_mode: 'transaction',
        ignore_startup_parameters: 'extra_float_digits',
        ...settings,
      }
      const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
      const database = `* = host=${hostname} port=${targetPort} user=${username}${secret}`
      const text = `[databases]\n${database}\n\n[pgbouncer]\n${lines.join('\n')}\n`
      await writePrivately(configuration, text, identity)
      return {
        name: 'PgBouncer',
        port,
        command,
        args: [configuration],
        directory,
        identity,
        probe: () => probeTcp(port, sslRequest, 'N'),
        // At once in every version; SIGTERM waits for clients since 1.23.
        stopSignal: 'SIGQUIT',
        orphanDirectory: directory,
      }
    },
  })
}

/** Writes a file that only `identity` (or we, without one) may read, whatever the umask. */
async function writePrivately(path: string, text: string, identity: Identity | undefined): Promise<void> {
  await writeFile(path, text, { mode: 0o600 })
  if (identity !== undefined) await chown(path, identity.uid, identity.gid)
}
