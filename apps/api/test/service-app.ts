import { Writable } from 'node:stream'
import { Logs } from '@holdfast/logging'
import type { StaleCacheSnapshot } from '@holdfast/stale-cache'
import { LeakWatch } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import { type App, buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { who } from '../src/logger.ts'
import { Secret } from '../src/secret.ts'
import { watchSerializers } from './serializer-watch.ts'
import { scratchDirectory, TEST_SETTINGS } from './service-process.ts'

const serializers = watchSerializers()

/** The service inside the test's process, listening on a free port of loopback. */
export class ServiceApp {
  readonly url: string
  readonly app: App
  readonly #log: string[]

  private constructor(url: string, app: App, log: string[]) {
    this.url = url
    this.app = app
    this.#log = log
  }

  /** Starts it over the database of `DATABASE_URL` and waits for the first look into it. */
  static async start(
    t: Test,
    environment: Readonly<Record<string, string>>,
    dataDirectory: string = scratchDirectory(t),
  ): Promise<ServiceApp> {
    const settings = { ...TEST_SETTINGS, ...environment }
    const { config, warnings } = loadConfig(settings)
    const log: string[] = []
    const leaks = new LeakWatch(settings)
    t.teardown(() => leaks.refuse())
    t.teardown(() => serializers.refuse())
    const sink = new Writable({
      write(chunk, _encoding, done) {
        log.push(String(chunk))
        leaks.see(String(chunk))
        done()
      },
    })
    const app = await buildApp({
      config,
      warnings,
      logs: new Logs<FastifyRequest>({ destination: sink, ...who }),
      dataDirectory,
      databaseUrl: config.databaseUrl ?? new Secret('postgres://nobody@127.0.0.1:1/nothing'),
    })
    t.teardown(() => app.fastify.close())
    const url = await app.fastify.listen({ host: '127.0.0.1', port: 0 })
    const turn = await app.firstLook
    if (!turn.ok) throw turn.error
    return new ServiceApp(url, app, log)
  }

  /** Everything that was logged, where a process of its own writes it. */
  get stdout(): string {
    return this.#log.join('')
  }

  /** The cache of themes in numbers. */
  cacheSnapshot(): StaleCacheSnapshot {
    const cache = this.app.fastify.staleCache.get('themes')
    if (cache === undefined) throw new Error('there is no cache of themes')
    return cache.snapshot()
  }
}
