// The files of deploy/ that no other test starts something with, each looked at by a tool that knows its language.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, matchesGlob } from 'node:path'
import { askRedis, requireExecutable, startRedis } from '@holdfast/test-kit'
import { DCLinter } from 'dclint'
import { DockerfileParser, type Instruction } from 'dockerfile-ast'
import { validate } from 'dockerfile-utils'
import { parse as parseToml } from 'smol-toml'
import t, { type Test } from 'tap'
import { parse as parseYaml } from 'yaml'
import { NAMESPACE } from '../deploy/kubernetes/naming.ts'
import { web } from '../deploy/kubernetes/processes.ts'
import { workload } from '../deploy/kubernetes/workload.ts'
import { loadConfig } from '../src/config.ts'
import { shutdownFindings } from '../src/deployment/shutdown-checks.ts'
import { scratchDirectory } from './service-process.ts'

const DEPLOY = new URL('../deploy/', import.meta.url).pathname
const ROOT = join(DEPLOY, '../../..')
const file = (name: string) => readFileSync(join(DEPLOY, name), 'utf8')

const COMPOSE_WORKERS = ['worker-bots', 'worker-odds', 'worker-settlement']
const STRONG = 'a-secret-of-more-than-thirty-two-characters'
const SECRETS = {
  DATABASE_URL: `postgres://holdfast_web:${STRONG}@pgbouncer:6432/holdfast`,
  SECRET_KEY: STRONG,
  METRICS_TOKEN: STRONG,
  ADMIN_TOKEN: STRONG,
  SMTP_URL: 'smtp://smtp:587',
}

t.test('images', async (t) => {
  for (const name of ['docker/Dockerfile', 'docker/pgbouncer.Dockerfile']) {
    await t.test(name, async (t) => {
      t.strictSame(validate(file(name)), [])
      const instructions = DockerfileParser.parse(file(name)).getInstructions()
      const last = (keyword: string) => instructions.findLast((one) => one.getKeyword() === keyword)
      t.not(last('USER')?.getArgumentsContent(), 'root', 'is not root')
      t.ok(last('HEALTHCHECK'), 'says how it is asked')
      t.ok(last('STOPSIGNAL'), 'and how it is ended')
      for (const keyword of ['CMD', 'HEALTHCHECK'])
        t.match(content(last(keyword)), /\[".*"\]$/, `${keyword} starts no shell`)
    })
  }
  t.not(validate('FORM node:24\n').length, 0, 'a mistake is told')
})

t.test('the image of the service runs what the package has', async (t) => {
  const instructions = DockerfileParser.parse(file('docker/Dockerfile')).getInstructions()
  const commands = instructions
    .filter((one) => ['CMD', 'HEALTHCHECK'].includes(one.getKeyword()))
    .map(content)
  const scripts = commands.flatMap((text) =>
    [...text.matchAll(/dist\/([\w/-]+)\.js/g)].map(([, script]) => script),
  )
  t.equal(scripts.length, 2)
  for (const script of scripts) t.ok(existsSync(join(DEPLOY, '../src', `${script}.ts`)), `src/${script}.ts`)
  const [from] = instructions.filter((one) => one.getKeyword() === 'FROM').slice(-1)
  t.match(content(from), /-slim$/, 'the last stage holds no compiler')
  const engine = /"node": ">=(\d+)/.exec(readFileSync(join(DEPLOY, '../package.json'), 'utf8'))?.[1]
  t.match(file('docker/Dockerfile'), new RegExp(`NODE_VERSION=${engine}\\.`))
  t.match(file('docker/Dockerfile.dockerignore'), /^\*\*\/\.env\*$/m, 'no secret of a developer comes along')
  // Of what TypeScript builds nothing may be left out of the context: the whole repository refers to apps/bench.
  const [, built = ''] = /exec tsc -b (\S+)/.exec(file('docker/Dockerfile')) ?? []
  const away = file('docker/Dockerfile.dockerignore').split('\n')
  const refersTo = (project: string): string[] => {
    const { references = [] }: { references?: { path: string }[] } = JSON.parse(
      readFileSync(join(ROOT, project, 'tsconfig.json'), 'utf8'),
    )
    return [project, ...references.flatMap(({ path }) => refersTo(join(project, path)))]
  }
  const projects = new Set(refersTo(built))
  t.ok(projects.size > 10)
  t.strictSame(
    [...projects].filter((project) => away.includes(project)),
    [],
  )
})

/** It holds a file to the schema of Compose, and to the rest of its own rules. */
const linter = new DCLinter({
  rules: {
    // `image` is the name of what `build` makes here, and has no version.
    'no-build-and-image': 0,
    'service-image-require-explicit-tag': 0,
    // The proxy is for everybody.
    'no-unbound-port-interfaces': 0,
    'require-quotes-in-ports': [2, { quoteType: 'double' }],
  },
  quiet: false,
  debug: false,
  exclude: [],
})

/** As far as it is looked at here; the types of dclint cannot be found from ES modules. */
interface Linted {
  readonly messages: readonly { readonly rule: string }[]
}

t.test('compose.yaml', async (t) => {
  // As it is where no variable is set.
  const text = file('compose/compose.yaml').replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')
  const compose = parseYaml(text, { merge: true })
  t.equal(compose.name, 'holdfast')
  const found = (path: string) => {
    const results: readonly Linted[] = linter.lintFiles([path], false)
    const rules = results.flatMap(({ messages }) => messages.map(({ rule }) => rule))
    // In which order they stand is not about what they say.
    return rules.filter((rule) => !rule.endsWith('-order'))
  }
  t.strictSame(found(join(DEPLOY, 'compose/compose.yaml')), [])
  const wrong = changed(t, 'compose/compose.yaml', 'stop_grace_period: 60s', 'stop_grace_time: 60s')
  t.ok(
    found(wrong).includes('invalid-schema'),
    'a word that there is not is refused, also where it is merged',
  )

  await t.test('its secrets are made by a command, once', async (t) => {
    const folder = scratchDirectory(t)
    const make = () => spawnSync('sh', [join(DEPLOY, 'compose/secrets.sh'), folder], { encoding: 'utf8' })
    t.match(make(), { status: 0, stderr: '' })
    const made = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')])
    t.match(make(), { status: 0, stderr: '' })
    t.strictSame(
      readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
      made,
    )

    const wanted = Object.values<{ file: string }>(compose.secrets).map((one) =>
      one.file.replace('./secrets/', ''),
    )
    t.strictSame(
      wanted.filter((name) => !readdirSync(folder).includes(name)),
      [],
    )

    const { environment } = compose.services.migration
    const here = Object.entries<string>(environment).map(([name, value]) => [
      name,
      value.replace('/run/secrets', folder),
    ])
    const { config, warnings } = loadConfig(Object.fromEntries(here))
    t.equal(config.databaseUrl?.reveal(), readFileSync(join(folder, 'database_url'), 'utf8').trim())
    t.strictSame(warnings, ['SMTP_URL is unset: nobody can register, nor reset a password'])
  })

  await t.test('what it mounts is there', async (t) => {
    const volumes: string[] = Object.values<{ volumes?: string[] }>(compose.services).flatMap(
      (one) => one.volumes ?? [],
    )
    const mounted = volumes.flatMap((one) => /^(\.\.\/[^:]+):/.exec(one)?.[1] ?? [])
    t.ok(mounted.length > 1)
    for (const path of mounted) t.ok(existsSync(join(DEPLOY, 'compose', path)), path)
  })

  await t.test('a container has the time that the whole way down may take', async (t) => {
    for (const name of ['api-1', 'api-2', ...COMPOSE_WORKERS]) {
      const { environment, stop_grace_period } = compose.services[name]
      t.equal(environment.SHUTDOWN_GRACE, stop_grace_period)
      t.strictSame(wayDown({ ...environment, ...SECRETS }), ['pass'])
      const [, waits] = /^ *timeout server (\w+)$/m.exec(file('haproxy/layer-7.cfg')) ?? []
      t.equal(environment.PROXY_READ_TIMEOUT, waits, 'as its proxy has it')
    }
  })

  await t.test('nothing of ours can write, become root, or do what root may', async (t) => {
    for (const name of ['migration', 'api-1', 'api-2', ...COMPOSE_WORKERS, 'provider', 'proxy'])
      t.match(compose.services[name], {
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
  })

  await t.test('each container is told what it is, and workers have a role of their own', async (t) => {
    const typeOf = (name: string) => {
      const settings = Object.entries<string>(compose.services[name].environment)
      const readable = settings.filter(([variable]) => !variable.endsWith('_FILE'))
      return loadConfig({ ...Object.fromEntries(readable), ...SECRETS }).config.processType
    }
    t.strictSame(['api-1', 'api-2'].map(typeOf), ['web', 'web'])
    t.strictSame(COMPOSE_WORKERS.map(typeOf), ['worker_bots', 'worker_odds', 'worker_settlement'])
    for (const name of COMPOSE_WORKERS) {
      const { environment, secrets } = compose.services[name]
      t.equal(environment.DATABASE_URL_FILE, '/run/secrets/worker_database_url')
      t.ok(secrets.includes('worker_database_url') && !secrets.includes('database_url'), name)
    }
  })

  await t.test('its proxy has the files that it needs to start', async (t) => {
    const [, most] = /maxconn (\d+)/.exec(file('haproxy/layer-7.cfg')) ?? []
    t.ok(compose.services.proxy.ulimits.nofile > 2 * Number(most) + 100)
  })

  await t.test('its Redis takes what it is told, and throws nothing out', async (t) => {
    const [program, ...args]: string[] = compose.services.redis.command
    t.equal(program, 'redis-server')
    const redis = await startRedis({ args })
    t.teardown(() => redis.stop())
    const ask = (setting: string) => askRedis(redis.directPort, 'CONFIG', 'GET', setting)
    t.match(await ask('maxmemory-policy'), ['maxmemory-policy', 'noeviction'])
    t.match(await ask('maxmemory'), ['maxmemory', String(256 * 1024 * 1024)])
    t.match(await ask('appendonly'), ['appendonly', 'yes'])
  })
})

t.test('fly.toml', async (t) => {
  const fly = parseToml(file('fly/fly.toml')) as unknown as Fly
  const { config, warnings } = loadConfig({ ...fly.env, ...SECRETS })
  t.strictSame(
    warnings.filter((warning) => !warning.startsWith('REDIS')),
    [],
  )
  t.equal(fly.http_service.internal_port, config.apiPort)
  t.equal(fly.checks['alive']?.port, config.managementPort)
  t.equal(fly.metrics.port, config.managementPort)
  t.equal(fly.env['SHUTDOWN_GRACE'], fly.kill_timeout)
  t.strictSame(wayDown({ ...fly.env, ...SECRETS }), ['pass'])
  for (const path of [fly.build.dockerfile, fly.build.ignorefile])
    t.ok(existsSync(join(DEPLOY, 'fly', path)), path)
})

interface Fly {
  readonly kill_timeout: string
  readonly build: { readonly dockerfile: string; readonly ignorefile: string }
  readonly env: Readonly<Record<string, string>>
  readonly http_service: { readonly internal_port: number }
  readonly checks: Readonly<Record<string, { readonly port: number } | undefined>>
  readonly metrics: { readonly port: number }
}

t.test('HAProxy takes its files', async (t) => {
  const haproxy = requireExecutable('haproxy')
  const environment = {
    HOLDFAST_BIND: '127.0.0.1:8080',
    HOLDFAST_STATS: '/tmp/holdfast-haproxy.sock',
    HOLDFAST_1: '127.0.0.1:8001',
    HOLDFAST_2: '127.0.0.1:8002',
    HOLDFAST_PROBE_1: '9001',
    HOLDFAST_PROBE_2: '9002',
  }
  const check = (path: string) =>
    spawnSync(haproxy, ['-c', '-f', path], { env: environment, encoding: 'utf8' })
  for (const name of ['layer-4.cfg', 'layer-7.cfg']) {
    const { status, stdout, stderr } = check(join(DEPLOY, 'haproxy', name))
    t.equal(status, 0, `${stdout}${stderr}`)
    t.notMatch(`${stdout}${stderr}`, /warning/i)
  }
  t.not(check(changed(t, 'haproxy/layer-7.cfg', 'balance leastconn', 'balance at-will')).status, 0)
})

t.test('nginx takes its file', async (t) => {
  const nginx = requireExecutable('nginx')
  // It opens its log; the sockets that spawnSync makes cannot be opened.
  const check = (path: string) =>
    spawnSync(nginx, ['-t', '-q', '-c', path], { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  t.match(check(join(DEPLOY, 'nginx/nginx.conf')), { status: 0, stderr: '' })
  t.not(check(changed(t, 'nginx/nginx.conf', 'least_conn', 'best_conn')).status, 0)
  // How it is told that an instance with workers will end as a whole.
  const first = 'server 127.0.0.1:8001 '
  t.match(check(changed(t, 'nginx/nginx.conf', first, `${first}down `)), { status: 0, stderr: '' })
  // What it has the check told is what it does, and fits.
  const text = file('nginx/nginx.conf')
  const told = Object.fromEntries(
    [...text.matchAll(/\b(PROXY_\w+)=(\w+)/g)].map(([, name, value]) => [name, value]),
  )
  const [, keeps] = /upstream service \{[^}]*\n *keepalive_timeout (\w+);/.exec(text) ?? []
  const [, waits] = /\n *proxy_read_timeout (\w+);/.exec(text) ?? []
  t.strictSame(told, { PROXY_KEEP_ALIVE: keeps, PROXY_READ_TIMEOUT: waits })
  t.strictSame(wayDown({ ...SECRETS, ENVIRONMENT: 'staging', ...told }), ['pass'])
})

t.test(
  'each setting of the kernel is one that there is',
  { skip: process.platform !== 'linux' && 'they are of Linux' },
  async (t) => {
    const settings = file('kernel/90-holdfast.conf')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => /^([\w.-]+) = ([\d ]+)$/.exec(line)?.[1] ?? line)
    t.ok(settings.length > 10)
    for (const name of settings) t.ok(existsSync(`/proc/sys/${name.replaceAll('.', '/')}`), name)
  },
)

// Neither Vector nor Fluent Bit is to be had from Debian or npm: this much can be seen without them.
t.test('the shippers of logs are made of parts that are there', async (t) => {
  const vector = parseYaml(file('vector/vector.yaml')) as Record<
    string,
    Record<string, { inputs?: string[] }>
  >
  const parts = [vector['sources'], vector['transforms'], vector['sinks']]
  const names = parts.flatMap((part) => Object.keys(part ?? {}))
  const inputs = parts.flatMap((part) => Object.values(part ?? {}).flatMap(({ inputs = [] }) => inputs))
  t.strictSame(
    inputs.filter((name) => !names.includes(name)),
    [],
  )
  const fluent = parseYaml(file('fluent-bit/fluent-bit.yaml')) as FluentBit
  const { inputs: tails, filters, outputs } = fluent.pipeline
  const tags = [...tails.map(({ tag }) => tag), 'security']
  t.strictSame(
    [...filters, ...outputs].filter(({ match }) => !tags.includes(match)),
    [],
  )
})

t.test(
  'the shippers of logs look where the pods of the cluster write, and bring it to one Loki',
  async (t) => {
    const vector = parseYaml(file('vector/vector.yaml'))
    const { pipeline } = parseYaml(file('fluent-bit/fluent-bit.yaml')) as FluentBit
    const loki = pipeline.outputs.find(({ name }) => name === 'loki')
    t.equal(vector.sinks.loki.endpoint, `http://${loki?.host}:${loki?.port}`)

    const { deployment } = workload(web)
    const { metadata, spec } = deployment.spec?.template ?? {}
    const [label = '', value] = vector.sources.holdfast.extra_label_selector.split('=')
    t.equal(metadata?.labels?.[label], value)
    const [, named = ''] = /pod_labels\."([^"]+)"/.exec(vector.sinks.loki.labels.component) ?? []
    t.equal(metadata?.labels?.[named], web.component)
    // As kubelet names it: pod, namespace, container and its id.
    const [container] = spec?.containers ?? []
    const pod = `${deployment.metadata?.name}-5d9c7b8f6d-x2x7p`
    const path = `/var/log/containers/${pod}_${NAMESPACE}_${container?.name}-${'0a'.repeat(32)}.log`
    t.ok(matchesGlob(path, pipeline.inputs[0]?.path ?? ''), path)
    t.notOk(matchesGlob(path.replaceAll('holdfast', 'other'), pipeline.inputs[0]?.path ?? ''))
  },
)

interface FluentBit {
  readonly pipeline: {
    readonly inputs: readonly { readonly tag: string; readonly path: string }[]
    readonly filters: readonly { readonly match: string }[]
    readonly outputs: readonly {
      readonly name: string
      readonly match: string
      readonly host?: string
      readonly port?: number
    }[]
  }
}

/** What the service says of its way down with these settings: whether it fits into SHUTDOWN_GRACE. */
function wayDown(environment: Readonly<Record<string, string>>): string[] {
  const own = Object.entries(environment).filter(([name]) => !name.endsWith('_FILE'))
  const { config } = loadConfig(Object.fromEntries(own))
  return shutdownFindings(config).map(({ verdict }) => verdict)
}

function content(instruction: Instruction | undefined): string {
  return instruction?.getTextContent().replace(/\\\n\s*/g, '') ?? ''
}

/** A file with one word changed, which is there until the test ends. */
function changed(t: Test, name: string, word: string, other: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-deploy-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const text = file(name)
  if (!text.includes(word)) throw new Error(`${name} has no ${word}`)
  const path = join(folder, 'changed')
  writeFileSync(path, text.replace(word, other))
  return path
}
