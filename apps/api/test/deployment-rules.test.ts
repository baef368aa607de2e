// Every rule has a deployment that breaks it, and one that just does not, on real servers.

import { readFileSync } from 'node:fs'
import { startPostgres, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { RULES, renderRuleTable } from '../src/deployment/rules.ts'
import { certificateMistakes, makeCaseCertificate, startCertified } from './seeded-certificates.ts'
import { databaseMistakes, findingsAt, soundDatabase } from './seeded-database.ts'
import { migrationMistakes } from './seeded-migrations.ts'
import { told } from './seeded-mistakes.ts'
import { bouncers, poolerMistakes } from './seeded-pooler.ts'
import { probeMistakes } from './seeded-probes.ts'
import { findingsAtRedis, redisMistakes } from './seeded-redis.ts'
import { startMistakes } from './seeded-start.ts'
import { scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const postgres = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on' } })
t.teardown(() => postgres.stop())
const pooler = bouncers(postgres)
t.teardown(() => pooler.stop())
const redis = await startRedis({ args: ['--maxmemory', '64mb'] })
t.teardown(() => redis.stop())

const certified = await startCertified()
t.teardown(() => certified.stop())

const onServers = [
  ...databaseMistakes(postgres),
  ...migrationMistakes(postgres),
  ...poolerMistakes(postgres, pooler.start),
  ...redisMistakes(redis),
  ...probeMistakes,
  ...certificateMistakes(certified),
]

t.test('servers without a mistake have none', async (t) => {
  const findings = [
    ...(await findingsAt(await soundDatabase(postgres), { environment: { API_PROCESSES: '2' } })),
    ...(await findingsAtRedis({ REDIS_URL: redis.directUrl })),
  ]
  t.strictSame(findings.filter(({ verdict }) => verdict !== 'pass').map(told), [])
})

for (const { title, rule, verdict, found, broken, sound } of onServers) {
  t.test(`${rule}: ${title}`, async (t) => {
    const findings = await broken()
    const wrong = findings.filter((finding) => finding.rule === rule && found.test(told(finding)))
    t.match(wrong, [{ verdict }], findings.map(told).join('\n'))
    t.notMatch(JSON.stringify(findings), 'hidden-from-all')
    const left = (await sound()).filter((finding) => finding.rule === rule)
    t.strictSame(left.map(told), [], 'just not')
  })
}

t.test('no rule lacks a case, and the README lists them', async (t) => {
  const directory = scratchDirectory(t)
  const atStart = startMistakes(directory, await makeCaseCertificate(directory))
  const tried = new Set([...atStart, ...onServers].map(({ rule }) => rule))
  t.strictSame(
    Object.keys(RULES).filter((rule) => !tried.has(rule as keyof typeof RULES)),
    [],
  )
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [, listed = ''] = /<!-- rules -->\n([\s\S]*?)\n<!-- \/rules -->/.exec(readme) ?? []
  // However wide its columns are drawn.
  const rows = (table: string) =>
    table
      .replace(/ *\| */g, '|')
      .split('\n')
      .slice(2)
  t.strictSame(rows(listed), rows(renderRuleTable()))
})
