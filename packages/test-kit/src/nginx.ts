import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { probeTcp } from './tcp-probe.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of nginx to start. */
export interface NginxOptions {
  /**
   * What goes into `http { }`. It must `listen 127.0.0.1:$PORT`; `$DIRECTORY` is the server's own directory. Both are
   * replaced as text: nginx has variables of its own.
   */
  readonly http: string
  /** The direct port. Default: a free one. */
  readonly port?: number
}

/** Starts an nginx in the foreground, with one worker, and everything it writes in a directory of its own. */
export async function startNginx({ http, port }: NginxOptions): Promise<RealServer> {
  if (!http.includes('127.0.0.1:$PORT'))
    throw new TypeError('the configuration of nginx must listen on 127.0.0.1:$PORT')
  const command = requireExecutable('nginx')
  const { path: directory, remove } = temporaryDirectory('nginx')
  const configuration = join(directory, 'nginx.conf')
  return startRealServer({
    port,
    url: (port) => `http://127.0.0.1:${port}`,
    cleanUp: remove,
    spec: async (port) => {
      await writeFile(configuration, wholeConfiguration(http, directory, port))
      return {
        name: 'nginx',
        port,
        command,
        args: ['-p', directory, '-e', 'stderr', '-c', configuration],
        directory,
        probe: () => probeTcp(port, '', ''),
        stopSignal: 'SIGTERM',
        // A worker outlives a master that was killed; a master that is told to end takes its worker along.
        orphanSignal: 'INT',
        orphanDirectory: directory,
      }
    },
  })
}

/** The worker would become `nobody`, who may not enter the directory. */
const asRoot = process.getuid?.() === 0 ? 'user root;\n' : ''
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

function wholeConfiguration(http: string, directory: string, port: number): string {
  const own = http.replaceAll('$PORT', String(port)).replaceAll('$DIRECTORY', directory)
  return `${asRoot}daemon off;
worker_processes 1;
error_log stderr warn;
pid ${join(directory, 'nginx.pid')};
events { worker_connections 1024; }
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${join(directory, name)};`).join('\n')}
${own}
}
`
}
