// What an audit of a web site looks at (the checks of Mozilla's HTTP Observatory, and of OWASP ASVS 3.3 to 3.5), asserted
// for each kind of answer that a browser may show: a page, a document, a theme, and the answer that signs somebody in.

import t, { type Test } from 'tap'
import { loneApp } from './lone-app.ts'
import { exchange, type RawAnswer } from './raw-exchange.ts'

t.setTimeout(120_000)

const fastify = await loneApp(t, {
  SESSION_SECURE: 'true',
  SECRET_KEY: 'a-secret-of-more-than-32-characters-for-tests',
})
fastify.post('/signed-in', { config: { access: 'public' } }, async ({ session }) => {
  await session.login({ userId: '7', tenantId: 'acme', roles: ['user'] })
  return {}
})
const { port } = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))

const HTML = 'accept: text/html\r\n'
const ORIGIN = 'origin: https://evil.example\r\n'

async function answerTo(path: string, headers = '', method = 'GET'): Promise<RawAnswer> {
  const [answer] = await exchange(
    Number(port),
    `${method} ${path} HTTP/1.1\r\nhost: x\r\n${headers}connection: close\r\n\r\n`,
  )
  if (answer === undefined) throw new Error(`${path}: no answer`)
  return answer
}

const ANSWERS: readonly [string, () => Promise<RawAnswer>][] = [
  ['a page', () => answerTo('/nothing', HTML)],
  ['a document', () => answerTo('/nothing')],
  ['a theme', () => answerTo('/acme/api/public/load-theme')],
  ['a probe', () => answerTo('/healthz')],
  ['a refusal', () => answerTo('/auth/me', HTML)],
  [
    'signing in',
    () => answerTo('/signed-in', 'sec-fetch-site: same-origin\r\ncontent-length: 0\r\n', 'POST'),
  ],
]

type Check = (t: Test, answer: RawAnswer, what: string) => void

/** The directives of a policy, by name. */
function policyOf({ headers }: RawAnswer): ReadonlyMap<string, readonly string[]> {
  const text = headers.get('content-security-policy') ?? ''
  return new Map(
    text.split(';').map((directive) => {
      const [name = '', ...sources] = directive.trim().split(/\s+/)
      return [name, sources]
    }),
  )
}

const CHECKS: Readonly<Record<string, Check>> = {
  'content security policy: nothing but what is named, and nothing unsafe': (t, answer, what) => {
    const policy = policyOf(answer)
    for (const name of ['default-src', 'base-uri', 'form-action', 'frame-ancestors']) {
      t.same(policy.get(name), ["'none'"], `${what}: ${name}`)
    }
    const sources = [...policy.values()].flat()
    const loose = /^(\*|data:|blob:|https?:.*|'unsafe-.*|'strict-dynamic'|.*\*.*)$/
    t.same(
      sources.filter((source) => loose.test(source)),
      [],
      what,
    )
    t.equal(answer.headers.get('content-security-policy')?.includes(' | '), false, `${what}: one policy`)
  },
  'strict transport security: at least six months, with subdomains': (t, { headers }, what) => {
    const [, seconds] =
      /^max-age=(\d+); includeSubDomains$/.exec(headers.get('strict-transport-security') ?? '') ?? []
    t.ok(Number(seconds) >= 15_768_000, what)
  },
  'x-content-type-options': (t, { headers }, what) => {
    t.equal(headers.get('x-content-type-options'), 'nosniff', what)
  },
  'framing: refused in both ways': (t, { headers }, what) =>
    t.equal(headers.get('x-frame-options'), 'DENY', what),
  'referrer policy: private': (t, { headers }, what) =>
    t.equal(headers.get('referrer-policy'), 'no-referrer', what),
  'cross-origin policies': (t, { headers }, what) => {
    t.equal(headers.get('cross-origin-opener-policy'), 'same-origin', what)
    t.equal(headers.get('cross-origin-embedder-policy'), 'require-corp', what)
    // Other pages show themes; nothing else.
    t.equal(
      headers.get('cross-origin-resource-policy'),
      what === 'a theme' ? 'cross-origin' : 'same-origin',
      what,
    )
  },
  'cross-origin resource sharing: with nobody': (t, { headers }, what) => {
    for (const name of headers.keys()) t.notMatch(name, /^access-control-/, what)
  },
  'permissions: none of the dangerous ones': (t, { headers }, what) => {
    t.match(headers.get('permissions-policy'), /camera=\(\), microphone=\(\), geolocation=\(\)/, what)
  },
  'x-xss-protection: the filter that was a hole is off': (t, { headers }, what) => {
    t.equal(headers.get('x-xss-protection'), '0', what)
  },
  'what serves it is not told': (t, { headers }, what) => {
    for (const name of ['server', 'x-powered-by', 'x-aspnet-version', 'via']) t.notOk(headers.has(name), what)
  },
  'the type is said, with its encoding': (t, { headers }, what) => {
    t.match(headers.get('content-type'), /^(text\/html|application\/(problem\+)?json); charset=utf-8$/, what)
  },
  'cookies: Secure, HttpOnly, SameSite, and of this host alone': (t, { headers }, what) => {
    const cookies = headers.get('set-cookie')?.split(' | ') ?? []
    t.equal(cookies.length > 0, what === 'signing in', what)
    for (const cookie of cookies) {
      t.match(cookie, /^__Host-/, what)
      for (const attribute of [/; Secure/, /; HttpOnly/, /; SameSite=(Lax|Strict)/, /; Path=\/(;|$)/]) {
        t.match(cookie, attribute, what)
      }
      t.notMatch(cookie, /; Domain=/i, what)
    }
  },
  'what is about somebody is kept by no cache': (t, { headers }, what) => {
    if (what !== 'a theme') t.match(headers.get('cache-control'), /no-store/, what)
    if (headers.has('set-cookie')) t.notMatch(headers.get('cache-control'), /public|s-maxage/, what)
  },
}

for (const [title, check] of Object.entries(CHECKS)) {
  t.test(title, async (t) => {
    for (const [what, ask] of ANSWERS) check(t, await ask(), what)
  })
}

t.test('a page loads nothing from elsewhere, and runs nothing but its own script', async (t) => {
  const { body, headers } = await answerTo('/nothing', HTML)
  t.notMatch(body, /\s(src|srcset|action|formaction|style|on[a-z]+)=/i)
  t.notMatch(body, /<(link|iframe|object|embed|form|base|img)\b/i)
  t.equal(body.match(/<script>/g)?.length, 1)
  t.match(headers.get('content-security-policy'), /script-src 'sha256-[\w+/]{43}='/)
})

t.test(
  'no other site is told that it may read an answer, and none may ask with the cookies of this one',
  async (t) => {
    for (const path of ['/auth/me', '/acme/api/public/load-theme', '/healthz', '/nothing']) {
      for (const method of ['GET', 'OPTIONS']) {
        const asked =
          'access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n'
        const { headers } = await answerTo(path, `${ORIGIN}${asked}`, method)
        for (const name of headers.keys()) t.notMatch(name, /^access-control-/, `${method} ${path}`)
      }
    }
    const json = 'content-type: application/json\r\ncontent-length: 2\r\n'
    const { status } = await answerTo(
      '/auth/logout',
      `${ORIGIN}sec-fetch-site: cross-site\r\n${json}`,
      'POST',
    )
    t.equal(status, 403)
  },
)
