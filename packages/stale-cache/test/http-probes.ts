import assert from 'node:assert/strict'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { exchange, type RawAnswer } from './raw-http.ts'

/** The server under test: `/theme` (GET, HEAD and a PUT that counts), `/broken` (500, the same body). */
export interface ProbedServer {
  readonly port: number
  /** The body that every coding decodes to. */
  readonly body: string
  /** How often the PUT handler did its work. */
  writes(): number
}

/** One rule of HTTP, checked over a real socket. Throws where the server breaks it. */
export interface Probe {
  readonly rule: string
  /** Known to be broken by `@fastify/etag` with `@fastify/compress`. */
  readonly peerBreaksIt?: true
  check(server: ProbedServer): Promise<void>
}

type Headers = Readonly<Record<string, string | readonly string[]>>

const get = (server: ProbedServer, headers?: Headers) => exchange(server.port, 'GET', '/theme', headers)
const head = (server: ProbedServer, headers?: Headers) => exchange(server.port, 'HEAD', '/theme', headers)
const put = (server: ProbedServer, headers?: Headers) => exchange(server.port, 'PUT', '/theme', headers)

async function tagOf(server: ProbedServer, headers?: Headers): Promise<string> {
  const tag = (await get(server, headers)).header('etag')
  assert.ok(tag !== undefined, 'an answer has a tag')
  return tag
}

function decoded(answer: RawAnswer): string {
  const encoding = answer.header('content-encoding')
  if (encoding === 'gzip') return gunzipSync(answer.body).toString()
  if (encoding === 'br') return brotliDecompressSync(answer.body).toString()
  assert.equal(encoding, undefined)
  return answer.body.toString()
}

/** A list of tokens in a header, lower case. */
function tokens(answer: RawAnswer, name: string): string[] {
  return (answer.headers.get(name) ?? []).flatMap((line) =>
    line.split(',').map((token) => token.trim().toLowerCase()),
  )
}

function isEmpty304(answer: RawAnswer): void {
  assert.equal(answer.status, 304)
  assert.equal(answer.body.byteLength, 0)
}

/** `Accept-Encoding` values and the coding each must get from a server that has all three. */
const negotiations: readonly (readonly [accept: string | undefined, coding: string])[] = [
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['br', 'br'],
  ['gzip, deflate, br, zstd', 'br'],
  ['gzip;q=1.0, br;q=0.5', 'gzip'],
  ['GZIP', 'gzip'],
  ['x-gzip', 'gzip'],
  ['*', 'br'],
  ['br;q=0, *', 'gzip'],
  ['gzip;q=0', 'identity'],
  ['identity;q=1, gzip;q=0.5', 'identity'],
  ['identity;q=0, gzip', 'gzip'],
  ['identity;q=0', 'identity'],
  ['*;q=0', 'identity'],
  ['zstd, deflate', 'identity'],
  ['gzip;q=7, br;level=3, ;;,', 'identity'],
]

export const probes: readonly Probe[] = [
  ...negotiations.map(
    ([accept, coding]): Probe => ({
      rule: `answers Accept-Encoding ${JSON.stringify(accept)} in ${coding}, never 406 and never 500`,
      async check(server) {
        const answer = await get(server, accept === undefined ? {} : { 'accept-encoding': accept })
        assert.equal(answer.status, 200)
        assert.equal(answer.header('content-encoding') ?? 'identity', coding)
        assert.equal(decoded(answer), server.body)
        assert.equal(answer.header('content-length'), String(answer.body.byteLength))
      },
    }),
  ),
  {
    rule: 'gives every coding its own strong tag',
    peerBreaksIt: true,
    async check(server) {
      const tags = new Set<string>()
      for (const accept of ['identity', 'gzip', 'br'])
        tags.add(await tagOf(server, { 'accept-encoding': accept }))
      assert.equal(tags.size, 3)
      for (const tag of tags) assert.match(tag, /^"[\x21\x23-\x7e]+"$/)
    },
  },
  {
    rule: 'names Accept-Encoding once in Vary for every coding, and for identity too',
    peerBreaksIt: true,
    async check(server) {
      for (const accept of ['identity', 'gzip', 'br']) {
        const vary = tokens(await get(server, { 'accept-encoding': accept }), 'vary')
        assert.equal(vary.filter((name) => name === 'accept-encoding').length, 1, accept)
      }
    },
  },
  {
    rule: 'answers 304 to the very tag',
    async check(server) {
      isEmpty304(await get(server, { 'if-none-match': await tagOf(server) }))
    },
  },
  {
    rule: 'answers 304 when the tag is in a list',
    peerBreaksIt: true,
    async check(server) {
      isEmpty304(await get(server, { 'if-none-match': `"x", ${await tagOf(server)},"y"` }))
    },
  },
  {
    rule: 'answers 304 when the tag is in the second of two If-None-Match headers',
    peerBreaksIt: true,
    async check(server) {
      isEmpty304(await get(server, { 'if-none-match': ['"x"', await tagOf(server)] }))
    },
  },
  {
    rule: 'answers 304 to a weakened tag, as nginx makes them',
    async check(server) {
      isEmpty304(await get(server, { 'if-none-match': `W/${await tagOf(server)}` }))
    },
  },
  {
    rule: 'answers 304 to *',
    peerBreaksIt: true,
    async check(server) {
      isEmpty304(await get(server, { 'if-none-match': '*' }))
    },
  },
  {
    rule: 'is not confused by commas, blanks and bytes above 0x7F inside quotes',
    peerBreaksIt: true,
    async check(server) {
      const tag = await tagOf(server)
      isEmpty304(await get(server, { 'if-none-match': `"a,b", W/"\xe9\xff , ${tag.slice(1, -1)}",, ${tag}` }))
      assert.equal((await get(server, { 'if-none-match': `"a, ${tag.slice(1, -1)}"` })).status, 200)
    },
  },
  {
    rule: 'sends the whole answer when a condition cannot be read',
    async check(server) {
      const tag = (await tagOf(server)).slice(1, -1)
      for (const garbage of [
        tag,
        `"${tag}`,
        `${tag}"`,
        'w/"x"',
        '"x" "y"',
        `**`,
        `*, "x"`,
        ',',
        `'${tag}'`,
      ]) {
        assert.equal((await get(server, { 'if-none-match': garbage })).status, 200, garbage)
      }
    },
  },
  {
    rule: 'does not read a condition of more than 8,192 characters',
    async check(server) {
      const padding = '"x", '.repeat(1700)
      const answer = await get(server, { 'if-none-match': padding + (await tagOf(server)) })
      assert.equal(answer.status, 200)
    },
  },
  {
    rule: 'does not answer 304 for the tag of another coding',
    peerBreaksIt: true,
    async check(server) {
      const tag = await tagOf(server, { 'accept-encoding': 'gzip' })
      assert.equal((await get(server, { 'if-none-match': tag, 'accept-encoding': 'br' })).status, 200)
      isEmpty304(await get(server, { 'if-none-match': tag, 'accept-encoding': 'gzip' }))
    },
  },
  {
    rule: 'sends no content-length with 304, to GET and to HEAD',
    peerBreaksIt: true,
    async check(server) {
      const condition = { 'if-none-match': await tagOf(server) }
      for (const answer of [await get(server, condition), await head(server, condition)]) {
        isEmpty304(answer)
        assert.equal(answer.header('content-length'), undefined)
        assert.equal(answer.header('transfer-encoding'), undefined)
      }
    },
  },
  {
    rule: 'sends no content-type with 304',
    peerBreaksIt: true,
    async check(server) {
      const answer = await get(server, { 'if-none-match': await tagOf(server) })
      isEmpty304(answer)
      assert.equal(answer.header('content-type'), undefined)
    },
  },
  {
    rule: 'sends no content-encoding with a 304 to a client that takes br',
    peerBreaksIt: true,
    async check(server) {
      const accept = { 'accept-encoding': 'br' }
      const answer = await get(server, { ...accept, 'if-none-match': await tagOf(server, accept) })
      isEmpty304(answer)
      assert.equal(answer.header('content-encoding'), undefined)
      assert.equal(answer.header('content-length'), undefined)
    },
  },
  {
    rule: 'sends with 304 the tag, Cache-Control, Vary and Date of the 200',
    peerBreaksIt: true,
    async check(server) {
      const full = await get(server)
      const short = await get(server, { 'if-none-match': full.header('etag') ?? '' })
      isEmpty304(short)
      for (const name of ['etag', 'cache-control', 'vary']) {
        assert.ok(full.header(name) !== undefined, name)
        assert.equal(short.header(name), full.header(name))
      }
      assert.ok(short.header('date') !== undefined)
    },
  },
  {
    rule: 'answers HEAD with the headers of GET and no body, in every coding',
    async check(server) {
      for (const accept of ['identity', 'gzip', 'br']) {
        const full = await get(server, { 'accept-encoding': accept })
        const short = await head(server, { 'accept-encoding': accept })
        assert.equal(short.body.byteLength, 0)
        for (const name of ['content-type', 'content-encoding', 'etag', 'cache-control', 'vary']) {
          assert.equal(short.header(name), full.header(name), name)
        }
        assert.equal(short.header('content-length'), String(full.body.byteLength))
      }
    },
  },
  {
    rule: 'ignores Range',
    async check(server) {
      const answer = await get(server, { range: 'bytes=0-3' })
      assert.equal(answer.status, 200)
      assert.equal(decoded(answer), server.body)
    },
  },
  {
    rule: 'lets If-None-Match win over If-Modified-Since',
    async check(server) {
      const future = 'Fri, 01 Jan 2100 00:00:00 GMT'
      assert.equal((await get(server, { 'if-none-match': '"x"', 'if-modified-since': future })).status, 200)
    },
  },
  {
    rule: 'refuses a GET whose If-Match does not hold with 412 and nothing to store',
    peerBreaksIt: true,
    async check(server) {
      const tag = await tagOf(server)
      assert.equal((await get(server, { 'if-match': tag })).status, 200)
      assert.equal((await get(server, { 'if-match': '*' })).status, 200)
      for (const condition of ['"x"', `W/${tag}`]) {
        const answer = await get(server, { 'if-match': condition })
        assert.equal(answer.status, 412)
        assert.equal(answer.header('cache-control'), 'no-store')
        assert.equal(answer.body.byteLength, 0)
      }
    },
  },
  {
    rule: 'does not turn a 500 into a 304',
    peerBreaksIt: true,
    async check(server) {
      const answer = await exchange(server.port, 'GET', '/broken', { 'if-none-match': await tagOf(server) })
      assert.equal(answer.status, 500)
    },
  },
  {
    rule: 'refuses a write with a matching If-None-Match before the work is done',
    peerBreaksIt: true,
    async check(server) {
      const tag = await tagOf(server)
      const before = server.writes()
      for (const condition of [tag, '*', `"x", W/${tag}`, 'garbage']) {
        assert.equal((await put(server, { 'if-none-match': condition })).status, 412, condition)
      }
      assert.equal(server.writes(), before)
      assert.equal((await put(server, { 'if-none-match': '"x"' })).status, 200)
      assert.equal(server.writes(), before + 1)
    },
  },
  {
    rule: 'refuses a write whose If-Match does not hold before the work is done',
    peerBreaksIt: true,
    async check(server) {
      const gzipTag = await tagOf(server, { 'accept-encoding': 'gzip' })
      const before = server.writes()
      for (const condition of ['"x"', `W/${gzipTag}`, 'garbage']) {
        assert.equal((await put(server, { 'if-match': condition })).status, 412, condition)
      }
      assert.equal(server.writes(), before)
      for (const condition of [gzipTag, '*']) {
        assert.equal((await put(server, { 'if-match': condition })).status, 200, condition)
      }
      assert.equal(server.writes(), before + 2)
    },
  },
]
