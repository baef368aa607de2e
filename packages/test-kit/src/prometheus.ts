import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireExecutable } from './executable.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of Prometheus to start. */
export interface PrometheusOptions {
  /** The whole configuration, as JSON can be: YAML takes it. */
  readonly config: object
}

/** Starts a Prometheus that keeps exemplars, and forgets everything when it ends. */
export async function startPrometheus({ config }: PrometheusOptions): Promise<RealServer> {
  const command = requireExecutable('prometheus')
  const { path: directory, remove } = temporaryDirectory('prometheus')
  const configuration = join(directory, 'prometheus.yaml')
  await writeFile(configuration, JSON.stringify(config))
  return startRealServer({
    url: (port) => `http://127.0.0.1:${port}`,
    cleanUp: remove,
    spec: (port) => ({
      name: 'Prometheus',
      port,
      command,
      args: [
        `--config.file=${configuration}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--enable-feature=exemplar-storage',
        '--log.level=warn',
      ],
      directory,
      probe: async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/-/ready`)
        if (!answer.ok) throw new Error(`it answered ${answer.status}`)
      },
      stopSignal: 'SIGTERM',
      orphanDirectory: directory,
    }),
  })
}
