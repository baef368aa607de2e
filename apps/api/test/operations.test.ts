// OPERATIONS.md says nothing that is not so: its settings, links, scripts and numbers exist, and what it tells operators
// to send is sent, to a service that runs.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { parse } from 'yaml'
import { ALERTS } from '../deploy/prometheus/alerts.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

const ROOT = new URL('../../../', import.meta.url).pathname
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const guide = text('OPERATIONS.md')

/** What looks like a setting, and is another program's. */
const OTHERS = ['PGHOST', 'PGUSER', 'PGDATABASE', 'PGPASSFILE', 'BASE']
/** Neither setting nor variable. */
const WORDS = ['HEALTHCHECK', 'SECURITY_EVENT', 'ACL', 'SETUSER', 'SIGTERM', 'SIGHUP', 'DELETE', 'GET']

t.test('each setting that it names is one of the service', async (t) => {
  const table = text('apps/api/README.md')
  const blocks = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, words = '']) => words)
  const inline = [...guide.replace(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)
  const code = [...blocks, ...inline].join(' ').replaceAll('RUNBOOK.md', '')
  const names = new Set([...code.matchAll(/\b[A-Z][A-Z0-9_]{3,}\b/g)].map(([name]) => name))
  const unknown = [...names].filter(
    (name) => ![...OTHERS, ...WORDS].includes(name) && !table.includes(`\`${name}\``),
  )
  t.strictSame(unknown, [])
  t.ok(names.size > 25, [...names].join(' '))
})

t.test('each of its links leads somewhere, and the READMEs lead to it', async (t) => {
  const anchors = (markdown: string) =>
    [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    )
  const links = [...guide.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link)
  t.ok(links.length > 20)
  for (const link of links) {
    const [path = '', anchor] = link.split('#')
    t.ok(path === '' || existsSync(join(ROOT, path)), link)
    if (anchor !== undefined) t.ok(anchors(path === '' ? guide : text(path)).includes(anchor), link)
  }
  for (const from of ['README.md', 'apps/api/README.md', 'apps/api/deploy/README.md']) {
    const back = [...text(from).matchAll(/\]\(([^)#]*OPERATIONS\.md)/g)].map(([, link = '']) => link)
    t.ok(back.length > 0, from)
    for (const link of back) t.ok(existsSync(join(ROOT, dirname(from), link)), `${from}: ${link}`)
  }
})

t.test('each script of pnpm, each file and each metric in its commands is there', async (t) => {
  const scripts = Object.keys(JSON.parse(text('apps/api/package.json')).scripts)
  const called = [...guide.matchAll(/pnpm (?:--filter @holdfast\/api|-C apps\/api) (\S+?)[\s`]/g)].map(
    ([, name]) => name,
  )
  t.ok(called.length > 4)
  t.strictSame(
    called.filter((name) => name === undefined || !scripts.includes(name)),
    [],
  )
  const files = [...guide.matchAll(/\bapps\/api\/[\w./-]+\.\w+/g)].map(([path]) => path)
  t.strictSame(
    files.filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
  for (const command of ['migrate', 'check', 'account', 'theme'])
    t.ok(existsSync(join(ROOT, 'apps/api/src/cli', `${command}.ts`)), 'what dist/cli is made of')
})

t.test('every alert has its section in the runbook, and the guide names no other', async (t) => {
  const runbook = text('apps/api/deploy/prometheus/RUNBOOK.md')
  interface Rules {
    readonly groups: readonly { readonly rules: readonly { readonly alert?: string }[] }[]
  }
  const alerts = ['prometheus', 'loki'].flatMap((of) => {
    const { groups }: Rules = parse(text(`apps/api/deploy/${of}/alerts.yaml`))
    return groups.flatMap(({ rules }) => rules.flatMap(({ alert }) => alert ?? []))
  })
  const sections = [...runbook.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
  t.strictSame(sections.toSorted(), alerts.toSorted())
  t.ok(ALERTS.length > 15)
  const named = [...guide.matchAll(/\bHoldfast[A-Z]\w+/g)].map(([name]) => name)
  t.strictSame(
    named.filter((name) => !alerts.includes(name)),
    [],
  )
})

t.test('its sums are right, and those of the files that it stands beside', async (t) => {
  const sums = [...guide.matchAll(/(\d+(?: [×+] \d+)+) = (\d+)/g)]
  t.ok(sums.length > 7)
  for (const [whole, left = '', right] of sums) {
    const sum = left
      .split(' + ')
      .map((product) => product.split(' × ').reduce((value, factor) => value * Number(factor), 1))
      .reduce((value, term) => value + term, 0)
    t.equal(sum, Number(right), whole)
  }
  const ini = text('apps/api/deploy/pgbouncer/pgbouncer.ini')
  const row = (words: string) =>
    guide
      .split('\n')
      .find((line) => line.startsWith('| ') && line.includes(words))
      ?.match(/= (\d+)/)?.[1]
  t.equal(row('`pool_size` of `holdfast`'), /^holdfast = .*pool_size=(\d+)/m.exec(ini)?.[1])
  t.equal(row('`pool_size` of `holdfast_worker`'), /^holdfast_worker = .*pool_size=(\d+)/m.exec(ini)?.[1])
  t.equal(row('| `default_pool_size`'), /^default_pool_size = (\d+)/m.exec(ini)?.[1])
  t.equal(row('| `max_db_connections`'), /^max_db_connections = (\d+)/m.exec(ini)?.[1])
  t.ok(guide.includes(`216, of ${/^max_client_conn = (\d+)/m.exec(ini)?.[1]}`))
})

t.test('what it tells operators to send does what it says', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const service = await ServiceProcess.start(t, {
    DATABASE_URL: await demoDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
    ADMIN_TOKEN: 'a-token-of-this-test',
  })
  const helper = /```sh\n(operator\(\) [^\n]+)\n```/.exec(guide)?.[1]
  const blocks = [...guide.matchAll(/<!-- run -->\n+```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block)
  t.equal(blocks.length, 5)
  for (const block of blocks) {
    const done = spawnSync('sh', ['-euc', `${helper}\n${block}`], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', BASE: service.url, ADMIN_TOKEN: 'a-token-of-this-test' },
    })
    t.match(done, { status: 0, stderr: '' }, `${block}${done.stdout}`)
    const answers = done.stdout.trim().split('\n')
    t.equal(answers.length, block.trim().split('\n').length)
    for (const answer of answers) t.doesNotThrow(() => JSON.parse(answer), answer)
  }
  t.match(await (await fetch(`${service.url}/api/status`)).json(), {
    maintenance_enabled: false,
    banner_message: '',
  })
  t.equal((await fetch(`${service.url}/readyz`)).status, 200)

  await t.test('and what it says of caches is what the service answers', async (t) => {
    const theme = await fetch(`${service.url}/acme/api/public/load-theme`)
    const [, stated] = /`Cache-Control: (public[^`]+)`/.exec(guide) ?? []
    t.equal(theme.headers.get('cache-control'), stated)
    t.match(theme.headers.get('etag'), /^"/)
    t.match(theme.headers.get('vary'), /accept-encoding/i)
    for (const path of [
      '/healthz',
      '/readyz',
      '/api/status',
      '/auth/me',
      '/api/bot/status',
      '/acme/api/theme/history',
    ]) {
      const answer = await fetch(`${service.url}${path}`)
      t.notMatch(answer.headers.get('cache-control') ?? 'no word', /public|max-age=[1-9]/, path)
    }
  })

  await t.test('the shippers of logs ask for what a line has', async (t) => {
    const line = JSON.parse(
      service.stdout.split('\n').find((line) => line.includes('"msg":"request completed"')) ?? '{}',
    )
    t.ok(Number.isFinite(Date.parse(line.time)), `time is ${line.time}`)
    t.type(line.msg, 'string')
    t.ok(line.level)
    for (const name of ['vector/vector.yaml', 'fluent-bit/fluent-bit.yaml'])
      t.match(text(`apps/api/deploy/${name}`), /event_type.{0,8}SECURITY_EVENT/)
  })
})
