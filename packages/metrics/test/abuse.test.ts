// Collectors that behave badly, and metrics that somebody makes up while the service runs.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { metrics } from '@holdfast/metrics'
import { exchange, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Counter, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { asking } from './asking.ts'

t.setTimeout(60_000)

const TOKEN = 'a-token-for-the-collector'
const AUTHORIZATION = `authorization: Bearer ${TOKEN}`

/** A service with a scrape of more than a megabyte, which waits for `held`, and how often it was read. */
async function large(t: Test) {
  const app = Fastify()
  t.teardown(() => app.close())
  const state = { reads: 0, held: Promise.resolve() }
  await app.register(metrics, { token: TOKEN, runtime: false })
  for (let metric = 0; metric < 10; metric += 1) {
    const labels = { n: { max: 1000 } }
    const many = app.metrics.counter({ name: `many_${metric}_total`, help: 'Many', labels })
    for (let n = 0; n < 1000; n += 1) many.inc({ n: `${n}-${'x'.repeat(100)}` })
  }
  app.metrics.gauge({
    name: 'held',
    help: 'Held',
    collect: () => {
      state.reads += 1
      return state.held
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port, state }
}

t.test('fifty collectors at one time are one scrape', async (t) => {
  const { app, port, state } = await large(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  state.held = promise
  const asked = Array.from({ length: 50 }, async () => {
    const headers = { authorization: `Bearer ${TOKEN}` }
    return (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text()
  })
  await waitUntil(() => app.metrics.snapshot().inFlight === 50)
  resolve()
  for (const text of await Promise.all(asked)) t.equal(text.match(/^many_\d_total/gm)?.length, 10_000)
  t.equal(state.reads, 1)
})

t.test('who reads slowly, or not at all, holds nobody else up', async (t) => {
  const { app, port } = await large(t)
  const request = `GET /metrics HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`
  const slow = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const socket = await asking(port, `${request}\r\n`.repeat(10))
      return socket.pause()
    }),
  )
  await waitUntil(() => app.metrics.snapshot().inFlight >= 10)
  const text = await exchange(port, `${request}connection: close\r\n\r\n`)
  t.match(text, /^HTTP\/1.1 200 /)
  t.equal(text.match(/^many_\d_total/gm)?.length, 10_000)
  t.ok(app.metrics.snapshot().inFlight >= 10, 'they have not read theirs yet')
  for (const socket of slow) socket.destroy()
  await waitUntil(() => app.metrics.snapshot().inFlight === 0)
})

t.test('HEAD has the head alone, with the length of what GET answers', async (t) => {
  const { port } = await large(t)
  const answer = await exchange(
    port,
    `HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${AUTHORIZATION}\r\n\r\n`,
  )
  const [head = '', body] = answer.split('\r\n\r\n')
  t.match(head, /^HTTP\/1.1 200 /)
  t.match(head, /content-type: text\/plain; version=0.0.4/)
  t.ok(Number(/content-length: (\d+)/.exec(head)?.[1]) > 100_000)
  t.equal(body, '')
})

t.test('whatever Accept says, the answer is a scrape', async (t) => {
  const { port } = await large(t)
  for (const [accept, type] of [
    ['application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.3', 'openmetrics'],
    ['application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.5', 'plain'],
    ['application/openmetrics-text;q=0', 'plain'],
    ['application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily', 'plain'],
    ['application/openmetrics-text;version=2.0.0', 'plain'],
    ['application/openmetrics-text;q=nonsense', 'plain'],
    ['APPLICATION/OPENMETRICS-TEXT', 'openmetrics'],
    [',;=,;;q=,,="', 'plain'],
    ['\u00ff\u00fe', 'plain'],
    [`${'text/html;q=0.1,'.repeat(400)}application/openmetrics-text`, 'plain'],
    ['', 'plain'],
    ['constructor', 'plain'],
    ['__proto__', 'plain'],
  ] as const) {
    const answer = await exchange(
      port,
      `GET /metrics HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\nconnection: close\r\n${AUTHORIZATION}\r\n\r\n`,
    )
    t.match(answer, /^HTTP\/1.1 200 /, accept.slice(0, 40))
    t.match(answer, type === 'plain' ? /content-type: text\/plain/ : /content-type: application\/openmetrics/)
  }
})

t.test('the token opens the main port, and the management listener needs none', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const management = Fastify()
  t.teardown(() => management.close())
  app.decorate('health', { management, addReport: () => undefined } as never)
  await app.register(metrics, { token: TOKEN, runtime: false })
  await app.ready()
  const outside = (authorization: string) => app.inject({ url: '/metrics', headers: { authorization } })
  t.equal((await outside(`Bearer ${TOKEN}`)).statusCode, 200)
  t.equal((await outside(`Bearer ${TOKEN} ${TOKEN}`)).statusCode, 401)
  t.equal((await outside(TOKEN)).statusCode, 401)
  t.equal((await app.inject(`/metrics?token=${TOKEN}`)).statusCode, 401)
  t.equal((await app.inject({ method: 'POST', url: '/metrics' })).statusCode, 404)
  const inside = await management.inject({ url: '/metrics', headers: { 'accept-encoding': 'gzip' } })
  t.equal(inside.statusCode, 200)
  t.match(gunzipSync(inside.rawPayload).toString(), 'app_info')
})

t.test('a metric that somebody makes up is refused with a code, or bounded', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const registry = new Registry()
  await app.register(metrics, { registry, runtime: false })
  const { metrics: own } = app
  for (const name of [
    '',
    'Bets_total',
    '1_total',
    'bets-total',
    'bets_total\n# TYPE evil gauge',
    'a'.repeat(121),
  ])
    t.throws(() => own.counter({ name, help: 'Bets' }), { code: 'HOLDFAST_ERR_METRICS_DEFINITION' }, name)
  for (const label of ['le', 'quantile', 'Tenant', '__name__', 'a"b', 'constructor-', '']) {
    const labels = { [label]: ['x'] }
    t.throws(
      () => own.counter({ name: 'bets_total', help: 'Bets', labels }),
      { code: 'HOLDFAST_ERR_METRICS_DEFINITION' },
      label,
    )
  }
  for (const max of [0, 1001, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => own.counter({ name: 'bets_total', help: 'Bets', labels: { tenant: { max } } }), {
      code: 'HOLDFAST_ERR_METRICS_DEFINITION',
    })
  }
  new Counter({ name: 'theirs_total', help: 'Theirs', registers: [registry] }).inc()
  t.throws(() => own.counter({ name: 'theirs_total', help: 'Ours' }), {
    code: 'HOLDFAST_ERR_METRICS_DUPLICATE',
  })

  const odds = own.counter({
    name: 'odds_total',
    help: 'Odds',
    labels: { feed: { max: 100 }, market: { max: 100 } },
    maxSeries: 50,
  })
  for (let at = 0; at < 10_000; at += 1) odds.inc({ feed: `f${at % 200}`, market: `m${at}` })
  const strange = own.counter({ name: 'strange_total', help: 'Strange', labels: { who: { max: 10 } } })
  for (const who of [
    '__proto__',
    'constructor',
    'a"b\\c\nd',
    '\u0000',
    '\ud800',
    'x'.repeat(129),
    7 as never,
  ]) {
    strange.inc({ who })
  }
  const text = await own.scrape()
  t.equal(text.match(/^odds_total/gm)?.length, 51)
  t.match(text, /^odds_total\{feed="other",market="other"\} \d+$/m)
  t.match(text, /^strange_total\{who="__proto__"\} 1$/m)
  t.match(text, /^strange_total\{who="a\\"b\\\\c\\nd"\} 1$/m)
  t.match(
    text,
    /^strange_total\{who="other"\} 3$/m,
    'half a character, too: all such halves are one in UTF-8',
  )
  t.match(text, /^theirs_total 1$/m)
})

t.test('a collector that leaves in the middle of a scrape leaves nothing behind', async (t) => {
  const { app, port } = await large(t)
  for (let at = 0; at < 20; at += 1) {
    const socket = await asking(port, `GET /metrics HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n\r\n`)
    socket.resetAndDestroy()
    if (!socket.closed) await once(socket, 'close')
  }
  await waitUntil(() => app.metrics.snapshot().inFlight === 0)
  t.match(await app.metrics.scrape(), 'TYPE held gauge')
})
