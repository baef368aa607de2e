// The rules over a deployment that need nobody to ask.

import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import { parse as parseToml } from 'smol-toml'
import t from 'tap'
import { parse } from 'yaml'
import { settings } from '../deploy/kubernetes/settings.ts'
import { dependencyFindings, isWithin, nodeFindings } from '../src/deployment/machine-checks.ts'
import { memoryBytes, numberIn, readMachine } from '../src/deployment/machine-facts.ts'
import { weaknessOf } from '../src/deployment/secret-strength.ts'
import { KEEP_ALIVE_MS } from '../src/deployment/shutdown-checks.ts'
import { makeCaseCertificate } from './seeded-certificates.ts'
import { type Environment, findingsAtStart, soundProduction, told } from './seeded-mistakes.ts'
import { startMistakes } from './seeded-start.ts'
import { scratchDirectory } from './service-process.ts'

/** Of containers beside each other, where nobody else is. */
const ITS_OWN_NETWORK = ['tls-unset', 'password-unset', 'public-url-plain']

t.test('a production without a mistake has none', async (t) => {
  const findings = await findingsAtStart({ ...soundProduction, DATA_DIRECTORY: scratchDirectory(t) })
  t.strictSame(findings.filter(({ verdict }) => verdict !== 'pass').map(told), [])
})

t.test(
  'each mistake is found, alone, with what to do about it; and just without it nothing is',
  async (t) => {
    const directory = scratchDirectory(t)
    const mistakes = startMistakes(directory, await makeCaseCertificate(directory))
    for (const { title, rule, verdict, found, broken, sound } of mistakes) {
      const wrong = (await broken()).filter(({ verdict }) => verdict !== 'pass')
      t.match(wrong.map(told), [found], title)
      t.match(wrong, [{ rule, verdict }], title)
      t.equal(wrong.length, 1, `${title}, and nothing else: ${wrong.map(told).join('; ')}`)
      const left = (await sound()).filter((finding) => finding.rule === rule)
      t.strictSame(left.map(told), [], `${title}: just not`)
    }
  },
)

t.test(
  'what is in deploy/ passes the checks with settings of its own and secrets that were made',
  async (t) => {
    const compose = parse(readFileSync(new URL('../deploy/compose/compose.yaml', import.meta.url), 'utf8'))
    const fly = parseToml(readFileSync(new URL('../deploy/fly/fly.toml', import.meta.url), 'utf8'))
    const deployments = {
      kubernetes: settings,
      compose: compose['x-api'].environment as Record<string, string>,
      fly: fly['env'] as Record<string, string>,
    }
    for (const [name, own] of Object.entries(deployments)) {
      const plain = Object.entries(own).filter(([variable]) => !variable.endsWith('_FILE'))
      const { DATABASE_URL, SECRET_KEY, METRICS_TOKEN, ADMIN_TOKEN, SMTP_URL } = soundProduction
      const environment = { DATABASE_URL, SECRET_KEY, METRICS_TOKEN, ADMIN_TOKEN, SMTP_URL }
      const findings = await findingsAtStart({
        ...environment,
        ...Object.fromEntries(plain),
        DATA_DIRECTORY: scratchDirectory(t),
      } as Environment)
      const wrong = findings.filter(({ verdict }) => verdict !== 'pass')
      t.strictSame(wrong.filter(({ verdict }) => verdict === 'fail').map(told), [], name)
      t.strictSame(wrong.filter(({ rule }) => !ITS_OWN_NETWORK.includes(rule ?? '')).map(told), [], name)
    }
  },
)

t.test('outside production a weak secret is a warning, and most rules keep still', async (t) => {
  const weak = { SECRET_KEY: 'x'.repeat(40), DATA_DIRECTORY: scratchDirectory(t) }
  const wrong = (await findingsAtStart(weak, { userId: 0 })).filter(({ verdict }) => verdict !== 'pass')
  t.match(wrong, [{ rule: 'secret-weak', verdict: 'warn' }])
  t.equal(wrong.length, 1)
})

t.test('no secret is in what is found', async (t) => {
  const hidden = 'never-to-be-printed'
  const environment = {
    ...soundProduction,
    DATA_DIRECTORY: scratchDirectory(t),
    SECRET_KEY: hidden.repeat(3),
    METRICS_TOKEN: hidden,
    ADMIN_TOKEN: hidden,
    DATABASE_URL: `postgres://web:${hidden}@db.example.com/a`,
    REDIS_URL: `redis://:${hidden}@cache.example.com`,
    SMTP_URL: `smtp://mail:${hidden}@mail:587`,
  }
  const findings = await findingsAtStart(environment)
  t.ok(findings.length > 8)
  t.notMatch(JSON.stringify(findings), hidden)
})

t.test('a password with a sign that should be percent-encoded is looked at like any other', async (t) => {
  const url = (password: string) => `postgres://web:${password}@127.0.0.1/holdfast`
  const rulesOf = async (password: string) => {
    const environment = {
      ...soundProduction,
      DATA_DIRECTORY: scratchDirectory(t),
      DATABASE_URL: url(password),
    }
    return (await findingsAtStart(environment)).flatMap(({ rule = [] }) => rule)
  }
  t.strictSame(await rulesOf('100%uT7wq9ZkLx2Vn8Rb4'), [])
  t.strictSame(await rulesOf('100%xxxxxxxxxxxx'), ['password-weak'])
})

t.test('a file that overrides operators is told with who else may write it', async (t) => {
  const folder = scratchDirectory(t)
  chmodSync(folder, 0o755)
  const MAINTENANCE_FILE = join(folder, 'maintenance')
  writeFileSync(MAINTENANCE_FILE, 'on')
  chmodSync(MAINTENANCE_FILE, 0o646)
  const found = await findingsAtStart({ ...soundProduction, DATA_DIRECTORY: folder, MAINTENANCE_FILE })
  t.match(found.filter(({ verdict }) => verdict !== 'pass').map(told), [
    /maintenance-forced: .* is there/,
    /everybody on the machine may write to .*maintenance \(MAINTENANCE_FILE, mode 0646\).* -> chmod go-w /,
  ])
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

t.test('the connections of clients are kept for as long as the rule believes', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  t.equal(app.server.keepAliveTimeout, KEEP_ALIVE_MS)
})

t.test('what this machine says of itself can be used', async (t) => {
  const { descriptors = 1, backlog = 1, cpus, memoryBytes: most, freeBytes } = readMachine()
  for (const number of [descriptors, backlog, cpus, most, freeBytes('/')]) t.ok(number > 0)
  t.equal(memoryBytes(0, 7), 7)
  t.equal(memoryBytes(2 ** 60, 7), 7)
  t.equal(memoryBytes(5, 7), 5)
  t.equal(numberIn('/no/such/file', /(\d+)/), undefined)
  t.equal(numberIn('/dev/null', /(\d+)/), undefined)
})

t.test('a machine that does not tell is not blamed', async (t) => {
  const findings = await findingsAtStart(
    { ...soundProduction, DATA_DIRECTORY: scratchDirectory(t) },
    { descriptors: undefined, backlog: undefined, userId: undefined },
  )
  t.strictSame(findings.filter(({ verdict }) => verdict !== 'pass').map(told), [])
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
  t.match(nodeFindings(manifest, '24.7.0'), [{ verdict: 'pass' }])
  t.match(nodeFindings({ version: '1.0.0' }, '1.0.0'), [{ verdict: 'pass' }])
  const installed = new Map(
    Object.entries({ a: '1.2.2', b: '0.3.0', c: '9.9.9', d: '2.0.1', '@holdfast/f': '0.0.0' }),
  )
  const found = dependencyFindings(manifest, (name) => installed.get(name))
  t.strictSame(
    found.map(({ message }) => message),
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
