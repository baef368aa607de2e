// The proxies of deploy/, started as they stand there, before two instances of the service: one of which is replaced
// while people ask.

import { type RealServer, startNginx, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Client } from 'undici'
import { deployedFile, fitted, newPlace, type Place, startDeployedHaproxy } from './deployed-proxy.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'
import { SteadyLoad } from './steady-load.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const nginx = (first: Place, second: Place) => {
  const [, http = ''] = /^http \{\n([\s\S]*)^\}$/m.exec(deployedFile('nginx/nginx.conf')) ?? []
  return startNginx({
    http: fitted(http, {
      'listen 8080 ': 'listen 127.0.0.1:$PORT ',
      '127.0.0.1:8001': `127.0.0.1:${first.port}`,
      '127.0.0.1:8002': `127.0.0.1:${second.port}`,
      'access_log /dev/stdout;': '',
      'error_log stderr warn;': '',
    }),
  })
}

const PROXIES: Readonly<Record<string, (first: Place, second: Place) => Promise<RealServer>>> = {
  'haproxy/layer-7.cfg': (...places) => startDeployedHaproxy('layer-7.cfg', places),
  'haproxy/layer-4.cfg': (...places) => startDeployedHaproxy('layer-4.cfg', places),
  'nginx/nginx.conf': nginx,
}

for (const [name, start] of Object.entries(PROXIES)) {
  t.test(`${name}: both instances serve, and one is replaced without an error`, async (t) => {
    const database = await demoDatabase(postgres.directUrl)
    const places = [await newPlace(), await newPlace()] as const
    const services = await Promise.all(places.map((place) => serve(t, place, database)))
    const proxy = await start(...places)
    t.teardown(() => proxy.stop())
    const url = `http://127.0.0.1:${proxy.directPort}`
    await waitUntil(async () => (await fetch(`${url}/healthz`)).status === 200)

    const load = new SteadyLoad(url, ['/acme/api/public/load-theme', '/globex/api/public/load-theme'], 8)
    t.teardown(() => load.stop())
    const answered = async (count: number) => {
      const from = load.requests
      await waitUntil(() => load.requests > from + count)
    }
    await answered(200)
    const [old] = services
    const ending = old?.stop()
    await answered(200)
    t.strictSame(await ending, { code: 0, signal: null })
    const [place] = places
    const again = await serve(t, place, database)
    await waitUntil(
      async () => {
        await askOnce(`${url}/acme/api/public/load-theme`)
        return again.stdout.includes('"msg":"request completed"')
      },
      { what: 'requests for it', timeoutMs: 60_000 },
    )
    await answered(200)
    await load.stop()
    const { requests, wrong } = load.report()
    t.strictSame(wrong, {}, `of ${requests} requests`)
  })
}

/** On a connection of its own: behind layer 4 those of others stay where they are. */
async function askOnce(url: string): Promise<void> {
  const client = new Client(new URL(url).origin)
  const { body } = await client.request({ path: new URL(url).pathname, method: 'GET' })
  await body.dump()
  await client.close()
}

function serve(t: Test, { port, probe }: Place, DATABASE_URL: string): Promise<ServiceProcess> {
  return ServiceProcess.start(t, {
    DATABASE_URL,
    DATA_DIRECTORY: scratchDirectory(t),
    API_PORT: String(port),
    MANAGEMENT_PORT: String(probe),
    RATE_LIMITS_PUBLIC: '1000000/minute',
    RATE_LIMITS_EXEMPT: 'loopback',
    // As long as a proxy needs to notice.
    SHUTDOWN_DRAIN: '6s',
  })
}
