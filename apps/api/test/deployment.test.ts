// The rules over a deployment that need nobody to ask.

import { randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@holdfast/footing'
import { checkDeployment, type Finding } from '@holdfast/lifecycle'
import t from 'tap'
import { loadConfig, secretFiles } from '../src/config.ts'
import { checksOfStart } from '../src/deployment/deployment-checks.ts'
import { dependencyFindings, isWithin, nodeFinding } from '../src/deployment/machine-checks.ts'
import { infoFindings } from '../src/deployment/redis-checks.ts'
import { weaknessOf } from '../src/deployment/secret-strength.ts'
import { scratchDirectory } from './service-process.ts'

const strong = () => randomBytes(36).toString('base64')

/** A production without a mistake. */
const sound = {
  ENVIRONMENT: 'production',
  SESSION_SECURE: 'true',
  SECRET_KEY: strong(),
  METRICS_TOKEN: strong(),
  ADMIN_TOKEN: strong(),
  TRUST_PROXY: '10.0.0.0/8',
  DATABASE_URL: `postgres://holdfast:${randomBytes(18).toString('hex')}@127.0.0.1:5432/holdfast`,
  PUBLIC_URL: 'https://holdfast.example.com',
  SMTP_URL: 'smtp://mail:587',
}

/** What the start finds wrong, by check. */
async function wrongIn(environment: Readonly<Record<string, string>>) {
  const deployment = { ...loadConfig(environment), secretFiles: secretFiles(environment) }
  const report = await checkDeployment(checksOfStart(deployment), { clock: systemClock })
  return report.checks.flatMap(({ name, findings }) =>
    findings
      .filter(({ verdict }) => verdict !== 'pass')
      .map(({ verdict, message, hint }) => `${name} ${verdict}: ${message} -> ${hint}`),
  )
}

t.test('a production without a mistake has none', async (t) => {
  t.strictSame(await wrongIn({ ...sound, DATA_DIRECTORY: scratchDirectory(t) }), [])
})

t.test('each mistake is found, with what to do about it', async (t) => {
  const DATA_DIRECTORY = scratchDirectory(t)
  const key = join(DATA_DIRECTORY, 'key')
  writeFileSync(key, strong())
  chmodSync(key, 0o644)
  const elsewhere = sound.DATABASE_URL.replace('127.0.0.1', 'db.example.com')
  const mistakes: [name: string, change: Readonly<Record<string, string>>, found: RegExp][] = [
    [
      'a key of a manual',
      { SECRET_KEY: 'change-me-change-me-change-me-change-me' },
      /^secrets fail: SECRET_KEY looks like the sample.*openssl rand/,
    ],
    ['a key of one letter', { SECRET_KEY: 'x'.repeat(40) }, /^secrets fail: SECRET_KEY repeats/],
    [
      'a token that can be guessed',
      { METRICS_TOKEN: 'zazazazzazaazzzaza' },
      /^secrets fail: METRICS_TOKEN can be guessed/,
    ],
    [
      'a key of words',
      { SECRET_KEY: 'the-quick-brown-fox-jumps-over-the-lazy-dog' },
      /^secrets warn: SECRET_KEY is made of words/,
    ],
    [
      'one text for two things',
      { ADMIN_TOKEN: sound.METRICS_TOKEN },
      /^secrets fail: METRICS_TOKEN and ADMIN_TOKEN are the same -> .*make two/,
    ],
    ['no token for operators', { ADMIN_TOKEN: '' }, /^secrets warn: ADMIN_TOKEN is unset/],
    [
      'a weak password',
      { DATABASE_URL: 'postgres://holdfast:password@127.0.0.1/holdfast' },
      /^secrets warn: the password of DATABASE_URL/,
    ],
    [
      'no password',
      { DATABASE_URL: 'postgres://holdfast@127.0.0.1/holdfast' },
      /^security warn: DATABASE_URL has no password/,
    ],
    [
      'a database elsewhere without TLS',
      { DATABASE_URL: elsewhere },
      /^security warn: DATABASE_URL leads to another machine without TLS.*sslmode/,
    ],
    [
      'a Redis elsewhere without TLS',
      { REDIS_URL: `redis://:${strong().replaceAll(/\W/g, 'x')}@cache.example.com:6379` },
      /^security warn: REDIS_URL leads to another machine without TLS: redis:\/\/cache/,
    ],
    [
      'a Redis elsewhere without a password',
      { REDIS_URL: 'rediss://cache.example.com:6379' },
      /^security warn: REDIS_URL has no password/,
    ],
    ['no proxy', { TRUST_PROXY: '' }, /^security warn: TRUST_PROXY is unset/],
    ['changes from anywhere', { CSRF_SSL_STRICT: 'false' }, /^security warn: CSRF_SSL_STRICT is false/],
    [
      'mails over http',
      { PUBLIC_URL: 'http://holdfast.example.com' },
      /^security warn: PUBLIC_URL is not https/,
    ],
    ['a line for everything', { LOG_LEVEL: 'trace' }, /^security warn: LOG_LEVEL is trace/],
    [
      'scripts from anywhere',
      { SECURITY_CSP: "default-src 'self'; script-src 'unsafe-inline'" },
      /^security warn: SECURITY_CSP lets/,
    ],
    [
      'a grace that is too short',
      { SHUTDOWN_GRACE: '30s' },
      /^shutdown fail: the way down may take 47s \(SHUTDOWN_DRAIN 10s, SHUTDOWN_REQUESTS 30s, closing 7s\), and is killed after SHUTDOWN_GRACE \(30s\) -> Raise .* to 47s/,
    ],
    ['no hold', { SHUTDOWN_DRAIN: '0s' }, /^shutdown warn: SHUTDOWN_DRAIN is 0/],
    [
      'a shortest hold beyond the longest',
      { SHUTDOWN_DRAIN: '1s' },
      /^shutdown warn: SHUTDOWN_MIN_DRAIN \(2s\) is longer than SHUTDOWN_DRAIN \(1s\)/,
    ],
    [
      'a proxy that keeps connections for longer',
      { PROXY_KEEP_ALIVE: '75s', SHUTDOWN_DRAIN: '2m', SHUTDOWN_MIN_DRAIN: '80s' },
      /^shutdown fail: the proxy keeps idle connections for 75s \(PROXY_KEEP_ALIVE\), and the service closes them after 72s/,
    ],
    [
      'a proxy that keeps connections beyond the hold',
      { PROXY_KEEP_ALIVE: '5s' },
      /^shutdown warn: the proxy may keep an idle connection for 5s/,
    ],
    [
      'a key that everybody on the machine can read',
      { SECRET_KEY: '', SECRET_KEY_FILE: key },
      /^files warn: SECRET_KEY_FILE names a file that everybody.* -> chmod o-r/,
    ],
    [
      'a setting that there is not',
      { SHUTDOWN_DRAYN: '1s' },
      /^settings warn: SHUTDOWN_DRAYN is set, but there is no such setting; did you mean SHUTDOWN_DRAIN/,
    ],
    [
      'no place for what is kept',
      { DATA_DIRECTORY: '/dev/null/nowhere' },
      /^files warn: nothing can be kept in \/dev\/null\/nowhere/,
    ],
  ]
  for (const [name, change, found] of mistakes) {
    const wrong = await wrongIn({ ...sound, DATA_DIRECTORY, ...change })
    t.match(wrong, [found], name)
    t.equal(wrong.length, 1, `${name}, and nothing else: ${wrong.join('; ')}`)
  }
})

t.test('outside production a weak secret is a warning, and most rules keep still', async (t) => {
  const wrong = await wrongIn({ SECRET_KEY: 'x'.repeat(40), DATA_DIRECTORY: scratchDirectory(t) })
  t.match(wrong, [/^secrets warn: SECRET_KEY repeats/])
  t.equal(wrong.length, 1)
})

t.test('what a generator makes is never weak', async (t) => {
  for (let round = 0; round < 2000; round += 1) {
    for (const secret of [
      randomBytes(24).toString('base64'),
      randomBytes(24).toString('hex'),
      randomBytes(24).toString('base64url'),
    ]) {
      if (weaknessOf(secret) !== undefined) t.fail(`${secret} is called ${weaknessOf(secret)}`)
    }
  }
})

t.test('Node and packages are those that were asked for', async (t) => {
  const manifest = {
    version: '1.0.0',
    engines: { node: '>=24.7' },
    dependencies: {
      a: '^1.2.3',
      b: '^0.2.3',
      c: 'workspace:*',
      d: '2.0.0',
      e: '^1.0.0',
      // What `pnpm deploy` writes for packages of the workspace.
      '@holdfast/f': '@holdfast/f@file:///build/packages/f',
      '@holdfast/g': '@holdfast/g@file:///build/packages/g',
    },
  }
  t.match(nodeFinding(manifest, '24.7.0'), { verdict: 'pass' })
  t.match(nodeFinding(manifest, '24.6.9'), { verdict: 'fail', message: /Node 24\.6\.9, .* wants >=24\.7/ })
  t.match(nodeFinding({ version: '1.0.0' }, '1.0.0'), { verdict: 'pass' })
  const installed = new Map(
    Object.entries({ a: '1.2.2', b: '0.3.0', c: '9.9.9', d: '2.0.1', '@holdfast/f': '0.0.0' }),
  )
  const found = dependencyFindings(manifest, (name) => installed.get(name))
  t.strictSame(
    found.map(({ message }: Finding) => message),
    [
      'a is 1.2.2, wanted is ^1.2.3',
      'b is 0.3.0, wanted is ^0.2.3',
      'd is 2.0.1, wanted is 2.0.0',
      'e is not installed',
      '@holdfast/g is not installed',
    ],
  )
  const ranges: [version: string, range: string, within: boolean][] = [
    ['1.2.3', '^1.2.3', true],
    ['1.9.0', '^1.2.3', true],
    ['2.0.0', '^1.2.3', false],
    ['0.2.9', '^0.2.3', true],
    ['0.0.4', '^0.0.3', false],
    ['1.2.4-beta.1', '^1.2.3', true],
    ['1.2.3', '1.2.3', true],
    ['1.2.3', 'latest', false],
  ]
  for (const [version, range, within] of ranges)
    t.equal(isWithin(version, range), within, `${version} in ${range}`)
})

t.test('a Redis that throws away, or is too old, is told', async (t) => {
  const { config } = loadConfig({ REDIS_URL: 'redis://:a-password@127.0.0.1:6379/0' })
  const target = config.redisUrl
  if (target === undefined) throw new Error('there is none')
  const found = (info: Readonly<Record<string, string>>) =>
    infoFindings('REDIS_URL', target, new Map(Object.entries(info))).filter(
      ({ verdict }) => verdict !== 'pass',
    )
  const sane = { redis_version: '7.0.15', maxmemory: '0', maxmemory_policy: 'noeviction' }
  t.strictSame(found(sane), [])
  t.strictSame(
    found({ ...sane, maxmemory_policy: 'allkeys-lru' }),
    [],
    'without a limit nothing is thrown away',
  )
  t.match(found({ ...sane, maxmemory: '1000', maxmemory_policy: 'allkeys-lru' }), [
    { verdict: 'fail', message: /maxmemory-policy allkeys-lru.*sessions end/, hint: /noeviction/ },
  ])
  t.match(found({ ...sane, redis_version: '5.0.1' }), [{ verdict: 'fail', message: /Redis 5\.0\.1/ }])
  t.notMatch(JSON.stringify(infoFindings('REDIS_URL', target, new Map(Object.entries(sane)))), 'a-password')
})
