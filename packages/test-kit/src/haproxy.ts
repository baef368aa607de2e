import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of HAProxy to start. */
export interface HaproxyOptions {
  /**
   * The whole configuration. It must `bind "127.0.0.1:$PORT"`; `$DIRECTORY` is the server's own directory, for
   * sockets. HAProxy itself replaces both, inside double quotes.
   */
  readonly config: string
  /** More variables for the configuration. */
  readonly env?: Readonly<Record<string, string>>
  /** The direct port. Default: a free one. */
  readonly port?: number
}

/** Starts an HAProxy in the foreground with the given configuration. */
export async function startHaproxy({ config, env, port }: HaproxyOptions): Promise<RealServer> {
  if (!/\$\{?PORT\b/.test(config))
    throw new TypeError('the configuration of HAProxy must bind "127.0.0.1:$PORT"')
  const command = requireExecutable('haproxy')
  const { path: directory, remove } = temporaryDirectory('haproxy')
  const configuration = join(directory, 'haproxy.cfg')
  // HAProxy wants a line feed after the last line.
  await writeFile(configuration, `${config}\n`)
  return startRealServer({
    port,
    url: (port) => `http://127.0.0.1:${port}`,
    cleanUp: remove,
    spec: (port) => ({
      name: 'HAProxy',
      port,
      command,
      args: ['-db', '-f', configuration],
      env: { ...env, PORT: String(port), DIRECTORY: directory },
      directory,
      probe: () => probeTcp(port, '', ''),
      stopSignal: 'SIGTERM',
      orphanDirectory: directory,
    }),
  })
}

/**
 * The column `status` of a server of a proxy, such as `UP` or `DOWN 1/2`, by the `stats socket` at `path`; empty: there is
 * none, or no socket yet. HAProxy listens for others before it is there.
 */
export async function haproxyStatus(path: string, proxy: string, server: string): Promise<string> {
  const table = await statistics(path)
  const row = table.split('\n').find((line) => line.startsWith(`${proxy},${server},`))
  return row?.split(',')[STATUS_COLUMN] ?? ''
}

/** As long as it begins. */
const NOT_THERE = ['ENOENT', 'ECONNREFUSED']
/** Of `show stat`. */
const STATUS_COLUMN = 17

function statistics(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write('show stat\n'))
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    socket
      .on('end', () => resolve(text))
      .on('error', (error: NodeJS.ErrnoException) =>
        NOT_THERE.includes(error.code ?? '') ? resolve('') : reject(error),
      )
  })
}
