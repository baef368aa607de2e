import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type Identity, unprivilegedIdentity } from './identity.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A configuration that is used elsewhere, too, and what has to be different on this machine. */
export interface PgBouncerConfiguration {
  /** The text of a `pgbouncer.ini`; where its databases are, where it listens and its `auth_file` are replaced. */
  readonly text: string
  /** What stands in its `auth_file`. */
  readonly users: string
}

/** What kind of PgBouncer to start. */
export interface PgBouncerOptions {
  /** The PostgreSQL behind it, reached at its `url`: through its proxy, so that its faults are seen here. */
  readonly target: { readonly url: string }
  /** By name as in the `[pgbouncer]` section; they win over ours. Default `pool_mode=transaction`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Default: one of our own, which trusts everybody. */
  readonly configuration?: PgBouncerConfiguration
  /** The direct port. Default: a free one. */
  readonly port?: number
}

// An SSLRequest, which is answered by one letter: N for "no", S for "yes". It asks nothing of the server behind.
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Starts a PgBouncer on loopback that serves every database of `target` to everybody as user `postgres`, who
 * may also use its console (database `pgbouncer`); or one with a given configuration. As root it runs as the user
 * `postgres`.
 */
export async function startPgBouncer({
  target,
  settings,
  configuration: given,
  port,
}: PgBouncerOptions): Promise<RealServer> {
  const command = requireExecutable('pgbouncer')
  const identity = unprivilegedIdentity()
  const { path: directory, remove } = temporaryDirectory('pgbouncer', identity)
  const configuration = join(directory, 'pgbouncer.ini')
  const { hostname, port: targetPort, username, password } = new URL(target.url)
  const secret = password === '' ? '' : ` password=${password}`
  const users = join(directory, 'users.txt')
  const speaksTls = !['disable', undefined].includes(settings?.['client_tls_sslmode'])
  await writePrivately(users, given?.users ?? `"${username}" ""\n`, identity)
  return startRealServer({
    port,
    url: (port) => `postgresql://${username}@127.0.0.1:${port}/postgres`,
    cleanUp: remove,
    spec: async (port) => {
      const all = {
        listen_addr: '127.0.0.1',
        listen_port: String(port),
        unix_socket_dir: '',
        auth_file: users,
        ...(given === undefined && {
          auth_type: 'trust',
          admin_users: username,
          pool_mode: 'transaction',
          ignore_startup_parameters: 'extra_float_digits',
        }),
        ...settings,
      }
      const place = `host=${hostname} port=${targetPort}`
      const text =
        given === undefined
          ? `[databases]\n* = ${place} user=${username}${secret}\n\n[pgbouncer]\n`
          : given.text.replaceAll(/\bhost=\S+ port=\d+/g, place)
      await writePrivately(configuration, withSettings(text, all), identity)
      return {
        name: 'PgBouncer',
        port,
        command,
        args: [configuration],
        directory,
        identity,
        probe: () => probeTcp(port, sslRequest, speaksTls ? 'S' : 'N'),
        // At once in every version; SIGTERM waits for clients since 1.23.
        stopSignal: 'SIGQUIT',
        orphanDirectory: directory,
      }
    },
  })
}

/** A configuration that ends with its section `[pgbouncer]`, with these settings in place of those it has. */
function withSettings(text: string, settings: Readonly<Record<string, string>>): string {
  const others = text.split('\n').filter((line) => {
    const name = /^(\w+) = /.exec(line)?.[1]
    return name === undefined || !Object.hasOwn(settings, name)
  })
  return [...others, ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`), ''].join('\n')
}

/** Writes a file that only `identity` (or we, without one) may read, whatever the umask. */
async function writePrivately(path: string, text: string, identity: Identity | undefined): Promise<void> {
  await writeFile(path, text, { mode: 0o600 })
  if (identity !== undefined) await chown(path, identity.uid, identity.gid)
}
