// The log of the service: what each request leaves in it, and what operators can do about it.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Logs, logging, serverOptions } from '@holdfast/logging'
import { poolGuard } from '@holdfast/pool-guard'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import { NUMBER_VARIABLE, workerNumber } from '../src/config.ts'
import { createLogs } from '../src/logger.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'
import { credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(120_000)

type Line = Readonly<Record<string, unknown>>

const linesOf = (text: string): readonly Line[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
const completionsOf = (text: string) => linesOf(text).filter(({ msg }) => msg === 'request completed')

t.test('each request has a line that says who asked, and answers have its ids', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const directory = scratchDirectory(t)
  const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
  const service = await ServiceApp.start(t, { DATABASE_URL: postgres.directUrl, ADMIN_TOKEN }, directory)
  const found = (id: string) =>
    completionsOf(service.stdout).filter(({ correlation_id }) => correlation_id === id)

  const { accessToken } = await tokensOf(service.url, credentialsOf(demoAccounts(directory), 'user'))
  for (const [id, path, headers, expected] of [
    [
      'log-00000001',
      '/acme/api/public/load-theme?token=x',
      {},
      {
        route: '/:tenant/api/public/load-theme',
        path: '/acme/api/public/load-theme',
        status: 200,
        level: 30,
      },
    ],
    ['log-00000002', '/nowhere', {}, { status: 404, level: 40 }],
    [
      'log-00000003',
      '/auth/me',
      { authorization: `Bearer ${accessToken}` },
      { status: 200, tenant: 'acme', user_id: /./ },
    ],
    ['log-00000004', '/auth/me', {}, { status: 401, level: 40 }],
  ] as const) {
    const answer = await fetch(service.url + path, { headers: { ...headers, 'x-correlation-id': id } })
    await answer.arrayBuffer()
    await waitUntil(() => found(id).length > 0)
    t.equal(found(id).length, 1, path)
    t.match(found(id)[0], expected, path)
    t.equal(answer.headers.get('x-correlation-id'), id)
    t.equal(answer.headers.get('x-request-id'), found(id)[0]?.['request_id'])
  }
  await fetch(`${service.url}/healthz`, { headers: { 'x-correlation-id': 'log-00000005' } })
  t.same(found('log-00000005'), [], 'probes have none')

  const level = async (method: string, body?: object, token = ADMIN_TOKEN) => {
    const answer = await fetch(`${service.url}/admin/log-level`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: (await answer.json()) as Line }
  }
  t.ok([401, 403].includes((await level('GET', undefined, 'wrong')).status), 'nobody else sees it')
  t.match(await level('GET'), { status: 200, body: { level: 'info', configured: 'info', until: null } })
  t.match(await level('PUT', { level: 'ERROR', for_seconds: 60 }), { status: 200, body: { level: 'error' } })
  await fetch(`${service.url}/nowhere`, { headers: { 'x-correlation-id': 'log-00000006' } })
  t.match(await level('DELETE'), { status: 200, body: { level: 'info', until: null } })
  t.same(found('log-00000006'), [], 'a warning is not written meanwhile')
  t.match(
    linesOf(service.stdout)
      .filter(({ event_type }) => event_type === 'SECURITY_EVENT')
      .map(({ event }) => event)
      .slice(-2),
    ['log.level.changed', 'log.level.reset'],
  )
})

t.test('a line that is written after the database has answered has the ids of its request', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const written: string[] = []
  const logs = new Logs<FastifyRequest>({ destination: { write: (line) => written.push(line) } })
  const app = Fastify(serverOptions(logs))
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  await app.register(poolGuard, { connectionString: postgres.directUrl, max: 2, maxWaiting: 100 })
  app.post('/orders', async () => {
    await app.poolGuard.query('select pg_sleep(0.01)')
    app.log.info('after the database')
    return 'ok'
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  // More than there are connections: some go on when the query of another one is over.
  const ids = Array.from({ length: 12 }, (_, each) => `order-${String(each).padStart(4, '0')}`)
  await Promise.all(
    ids.map((id) =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-correlation-id': id },
        body: '{}',
      }).then((answer) => answer.text()),
    ),
  )
  const after = linesOf(written.join('')).filter(({ msg }) => msg === 'after the database')
  t.ok(after.length >= 2)
  const answered = completionsOf(written.join('')).filter(({ status }) => status === 200)
  t.same(
    after.map(({ correlation_id }) => correlation_id).toSorted(),
    answered.map(({ correlation_id }) => correlation_id).toSorted(),
  )
})

t.test('files are kept in production alone, where a place is named for them', async (t) => {
  const logDirectory = scratchDirectory(t)
  const settings = { logLevel: 'info', logDirectory } as const
  const elsewhere = createLogs({ ...settings, environment: 'staging' }, false)
  await elsewhere.close()
  t.same(await readdir(logDirectory), [])
  const production = createLogs({ ...settings, environment: 'production' }, true)
  await production.close()
  t.same((await readdir(logDirectory)).toSorted(), ['app.error.log', 'app.log'])
  const worker = createLogs({ ...settings, environment: 'production' }, false, 1)
  await worker.close()
  t.same(
    (await readdir(logDirectory)).toSorted(),
    ['app-1.error.log', 'app-1.log', 'app.error.log', 'app.log'],
    'each worker has files of its own',
  )
  t.equal(workerNumber({}), undefined)
  t.equal(workerNumber({ [NUMBER_VARIABLE]: '1' }), 1)
})

t.test('a process that is told to end has written all its lines, also to its files', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const LOG_DIRECTORY = join(scratchDirectory(t), 'logs')
  const DATABASE_URL = await demoDatabase(postgres.directUrl, scratchDirectory(t))
  const service = await ServiceProcess.start(t, {
    ...PRODUCTION,
    LOG_LEVEL: 'Info',
    LOG_DIRECTORY,
    DATABASE_URL,
    DATA_DIRECTORY: scratchDirectory(t),
  })
  const ids = Array.from({ length: 50 }, (_, each) => `ended-${String(each).padStart(4, '0')}`)
  await Promise.all(
    ids.map(async (id) => {
      const path = '/acme/api/public/load-theme'
      await (await fetch(service.url + path, { headers: { 'x-correlation-id': id } })).text()
    }),
  )
  t.same(await service.stop(), { code: 0, signal: null })
  const kept = await readFile(join(LOG_DIRECTORY, 'app.log'), 'utf8')
  const named = completionsOf(kept).map((line) => line['correlation_id'])
  t.same(named.toSorted(), ids)
  t.equal(kept, service.stdout, 'the same lines as on standard output')
  t.match(linesOf(kept).at(-1), { msg: /clos|stopp|ended/ }, 'to the last one')
})
