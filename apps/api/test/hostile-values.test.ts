// Text that wants to be more than text: markup in what tenants call themselves, lines in what becomes a header.

import { MaintenanceError } from '@holdfast/error-pages'
import t from 'tap'
import type { PublicTheme } from '../src/routes/public-theme/public-theme.ts'
import { completeTheme, parseThemeDocument } from '../src/routes/public-theme/theme.ts'
import { loneApp } from './lone-app.ts'
import { exchange } from './raw-exchange.ts'

t.setTimeout(120_000)

const fastify = await loneApp(t, {
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'a-token-for-tests',
  RATE_LIMITS_IP: '1000000/minute',
  ABUSE_MAX_PER_MINUTE: '1000000',
})

/** What a person may write who wants others to run it. */
const MARKUP = [
  `</script><img src=x onerror=alert(1)>`,
  `"><svg/onload=alert(1)>`,
  `'-alert(1)-'`,
  `\${alert(1)}\u2028<b>`,
  `]]><script>alert(1)</script>`,
]
let notice = ''
fastify.get('/closed', { config: { access: 'public' } }, async () => {
  throw new MaintenanceError({ message: notice, retryAfterMs: 60_000 })
})
let header = ''
fastify.get('/header', { config: { access: 'public' } }, async (_request, reply) =>
  reply.header('x-told', header).send('sent'),
)
fastify.get('/refused', { config: { access: 'public' } }, async () => {
  throw Object.assign(new Error(header), { statusCode: 400, headers: { 'x-told': header } })
})
const { port } = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))

t.test('a notice, a brand and an address are text on a page, and text in a document', async (t) => {
  const accept = 'text/html,*/*;q=0.8'
  for (const [index, text] of MARKUP.entries()) {
    const what = `text ${index}`
    notice = text
    const page = await fastify.inject({ url: '/closed', headers: { accept } })
    t.equal(page.statusCode, 503)
    t.match(page.headers['content-type'], 'text/html')
    t.notMatch(page.body, /<img|<svg|<b>|alert\(1\)<\/script>|onerror=alert\(1\)>/, what)
    t.equal(page.body.match(/<script>/g)?.length, 1, what)
    const document = await fastify.inject('/closed')
    t.match(document.headers['content-type'], 'application/problem+json')
    t.equal(document.json().detail, text.replaceAll(/\p{Cc}/gu, ' '))

    const unknown = await fastify.inject({ url: `/${encodeURIComponent(text)}`, headers: { accept } })
    t.notMatch(unknown.body, /alert/, 'an address is not repeated')
  }
})

t.test('the brand of a tenant comes as JSON that no browser takes for a page', async (t) => {
  for (const brand of MARKUP) {
    const parsed = parseThemeDocument({ brand_name: brand })
    if (!('document' in parsed)) throw new Error(`refused: ${brand}`)
    const theme = completeTheme(parsed.document)
    fastify.staleCache
      .get<PublicTheme>('themes')
      .set('evil', { value: { tenant: 'evil', version: '1', theme } })
    const [answer] = await exchange(
      Number(port),
      'GET /evil/api/public/load-theme HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n',
    )
    t.match(answer?.headers.get('content-type'), /^application\/json/)
    t.equal(answer?.headers.get('x-content-type-options'), 'nosniff')
    t.match(answer?.headers.get('content-security-policy'), /^default-src 'none'/)
    t.equal(JSON.parse(Buffer.from(answer?.body ?? '', 'latin1').toString()).theme.brand_name, brand)
  }
})

t.test('a theme holds no line, no control character, and nothing that turns text around', async (t) => {
  for (const character of [
    '\n',
    '\r',
    '\0',
    '\u001b',
    '\u0085',
    '\u009b',
    '\u202e',
    '\u2066',
    '\u200f',
    '\u061c',
  ]) {
    for (const member of ['brand_name', 'tagline']) {
      const name = JSON.stringify(character)
      t.ok('problems' in parseThemeDocument({ [member]: `a${character}b` }), `${member} ${name}`)
    }
  }
  for (const value of [
    'red;}body{display:none',
    'url(x)',
    '#12345',
    'expression(alert(1))',
    '#1f4e79</style>',
  ]) {
    t.ok('problems' in parseThemeDocument({ primary_color: value }), value)
    if (value !== '#12345') t.ok('problems' in parseThemeDocument({ font_family: value }), value)
  }
})

/** What would be one more header, or one more answer, if it came through. */
const SPLITS = [
  '%0d%0aset-cookie:%20evil=1',
  '%0d%0a%0d%0a<script>alert(1)</script>',
  '%E5%98%8A%E5%98%8Dset-cookie:%20evil=1',
  '%0aset-cookie:%20evil=1',
  '%u000aset-cookie:evil=1',
]

t.test('nothing in an address becomes a header', async (t) => {
  const paths = [
    (split: string) => `/${split}`,
    (split: string) => `/${split}/api/public/load-theme`,
    (split: string) => `/acme/api/theme/history?cursor=${split}`,
    (split: string) => `/readyz/${split}`,
    (split: string) => `/readyz?exclude=${split}&verbose`,
    (split: string) => `/health/groups/${split}`,
    (split: string) => `/auth/sessions/${split}`,
    (split: string) => `/api/bot/status?bot_id=${split}`,
    (split: string) => `/admin/abuse/addresses/${split}`,
  ]
  for (const split of SPLITS) {
    for (const path of paths) {
      const id = `x-request-id: ${split}\r\nx-correlation-id: ${split}\r\n`
      const [answer, ...more] = await exchange(
        Number(port),
        `GET ${path(split)} HTTP/1.1\r\nhost: x\r\n${id}accept: ${split}\r\nconnection: close\r\n\r\n`,
      )
      const what = path(split)
      t.ok((answer?.status ?? 500) < 500 || answer?.status === 503, `${what}: ${answer?.status}`)
      t.same(more, [], what)
      t.notOk(answer?.headers.has('set-cookie'), what)
      t.match(answer?.headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/, what)
    }
  }
})

t.test(
  'a header that cannot be sent is a fault with all headers, and takes no refusal with it',
  async (t) => {
    for (const value of ['a\r\nset-cookie: evil=1', 'a\0b', 'a\nb']) {
      header = value
      const [fault, ...more] = await exchange(Number(port), 'GET /header HTTP/1.1\r\nhost: x\r\n\r\n')
      t.same(more, [])
      t.equal(fault?.status, 500, JSON.stringify(value))
      t.equal(fault?.headers.get('x-content-type-options'), 'nosniff')
      t.notOk(fault?.headers.has('set-cookie'))
      t.notOk(fault?.headers.has('x-told'))
      const [refused] = await exchange(Number(port), 'GET /refused HTTP/1.1\r\nhost: x\r\n\r\n')
      t.equal(refused?.status, 400)
      t.notOk(refused?.headers.has('x-told'))
      t.notOk(refused?.headers.has('set-cookie'))
    }
  },
)
