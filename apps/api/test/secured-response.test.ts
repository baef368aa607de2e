import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { securedResponse } from '../src/secured-response.ts'
import { exchange } from './raw-exchange.ts'

const HEADERS = { 'x-frame-options': 'DENY', 'x-more': 'yes' }

/** What stands on the wire when a server answers like this. */
async function sent(
  t: Test,
  answer: (response: ServerResponse) => void,
): Promise<ReadonlyMap<string, string>> {
  const server = createServer(
    {
      ServerResponse: securedResponse(HEADERS, () => ({
        'x-correlation-id': 'id-of-it',
        'x-request-id': 'own-id',
      })),
    },
    (_request, response) => answer(response),
  )
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const [first] = await exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  return first?.headers ?? new Map()
}

t.test('the headers are there, however the answer gives its own, and never twice', async (t) => {
  const ways: readonly [string, (response: ServerResponse) => void][] = [
    ['none', (response) => response.end()],
    ['an object', (response) => response.writeHead(200, { 'x-own': 'a' }).end()],
    ['an object after a reason', (response) => response.writeHead(200, 'Fine', { 'x-own': 'a' }).end()],
    ['an object after no reason', (response) => response.writeHead(200, undefined, { 'x-own': 'a' }).end()],
    ['a list', (response) => response.writeHead(200, ['x-own', 'a', 'set-cookie', ['b=1', 'c=2']]).end()],
    ['setHeader', (response) => response.setHeader('x-own', 'a').end()],
    [
      'setHeader and an object',
      (response) => response.setHeader('x-own', 'b').writeHead(200, { 'x-own': 'a' }).end(),
    ],
  ]
  for (const [way, answer] of ways) {
    const headers = await sent(t, answer)
    t.equal(headers.get('x-frame-options'), 'DENY', way)
    t.equal(headers.get('x-more'), 'yes', way)
    t.equal(headers.get('x-correlation-id'), 'id-of-it', way)
    t.equal(headers.get('x-request-id'), 'own-id', way)
    if (way !== 'none') t.equal(headers.get('x-own'), 'a', way)
    if (way === 'a list') t.equal(headers.get('set-cookie'), 'b=1 | c=2')
  }
})

t.test('what the answer says itself stays, in whatever case it says it', async (t) => {
  const ways: readonly [string, (response: ServerResponse) => void][] = [
    ['an object', (response) => response.writeHead(200, { 'x-frame-options': 'SAMEORIGIN' }).end()],
    ['another case', (response) => response.writeHead(200, { 'X-Frame-Options': 'SAMEORIGIN' }).end()],
    ['a list', (response) => response.writeHead(200, ['X-Frame-Options', 'SAMEORIGIN']).end()],
    ['setHeader', (response) => response.setHeader('X-Frame-Options', 'SAMEORIGIN').end()],
    [
      'setHeader, then an object',
      (response) =>
        response.setHeader('x-own', 'a').writeHead(200, { 'X-Frame-Options': 'SAMEORIGIN' }).end(),
    ],
  ]
  for (const [way, answer] of ways) {
    const headers = await sent(t, answer)
    t.equal(headers.get('x-frame-options'), 'SAMEORIGIN', way)
    t.equal(headers.get('x-more'), 'yes', way)
  }
})

t.test('the ids are those of the line, whatever the answer says of them', async (t) => {
  const foreign = { 'x-request-id': 'theirs', 'x-own': 'a' }
  const ways: readonly [string, (response: ServerResponse) => void][] = [
    ['an object', (response) => response.writeHead(200, foreign).end()],
    ['another case', (response) => response.writeHead(200, { 'X-Request-ID': 'theirs', 'x-own': 'a' }).end()],
    ['after a reason', (response) => response.writeHead(200, 'Fine', foreign).end()],
    ['a list', (response) => response.writeHead(200, ['X-Request-ID', 'theirs', 'x-own', 'a']).end()],
    ['setHeader', (response) => response.setHeader('X-Request-ID', 'theirs').setHeader('x-own', 'a').end()],
    ['setHeader, then an object', (response) => response.setHeader('x-a', 'b').writeHead(200, foreign).end()],
  ]
  for (const [way, answer] of ways) {
    const headers = await sent(t, answer)
    t.equal(headers.get('x-request-id'), 'own-id', way)
    t.equal(headers.get('x-correlation-id'), 'id-of-it', way)
    t.equal(headers.get('x-own'), 'a', way)
    t.equal(headers.get('x-more'), 'yes', way)
  }
})

t.test('a header that Node would refuse is refused before there is an answer', async (t) => {
  t.throws(() => securedResponse({ 'x-bad': 'a\r\nx-more: b' }, () => ({})), { code: 'ERR_INVALID_CHAR' })
  t.throws(() => securedResponse({ 'x bad': 'a' }, () => ({})), { code: 'ERR_INVALID_HTTP_TOKEN' })
})

t.test('the head that Node sends at once has them too', async (t) => {
  const headers = await sent(t, (response) => response.writeHead(200, { expect: '100-continue' }).end())
  t.equal(headers.get('x-frame-options'), 'DENY')
})

t.test('an answer whose head is written twice fails as it does without them', async (t) => {
  const headers = await sent(t, (response) => {
    response.writeHead(200, { 'x-own': 'a' })
    t.throws(() => response.writeHead(200, { 'x-own': 'b' }), { code: 'ERR_HTTP_HEADERS_SENT' })
    response.end()
  })
  t.equal(headers.get('x-own'), 'a')
  t.equal(headers.get('x-more'), 'yes')
})
