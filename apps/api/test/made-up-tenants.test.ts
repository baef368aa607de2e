// Whoever makes up tenants makes no key in Redis, no series of a metric, and no file.

import { readdirSync } from 'node:fs'
import { askRedis, type SeededRandom, seededRandom, startPostgres, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'

t.setTimeout(240_000)

const REQUESTS = 10_000
const IN_FLIGHT = 50
const TOKEN = 'a-token-for-tests'
const CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** What is no slug, with something made up in it. */
const WRONG = [
  (name: string) => `..%2f${name}`,
  (name: string) => `${name}%00`,
  (name: string) => `*${name}`,
  (name: string) => `{${name}}`,
  (name: string) => `${name}:a`,
  (name: string) => `%2e%2e${name}`,
  (name: string) => `${name}%E2%80%A4`,
  (name: string) => `${name}-`,
  (name: string) => name.toUpperCase(),
  (name: string) => name.repeat(40),
  (name: string) => `%0d%0a${name}`,
  (name: string) => `${name}%E0%A4`,
]

/** What a busy machine may add of its own, such as a breaker that opens: bounded, and named after nobody. */
const OWN_ADDITIONS = 20

function madeUp(random: SeededRandom, names: string[]): string {
  const name = Array.from({ length: random.int(8, 20) }, () => CHARACTERS[random.int(0, 35)]).join('')
  names.push(name)
  return random.int(0, 2) === 0 ? random.pick(WRONG)(name) : name
}

t.test('10,000 made-up tenants leave nothing behind', async (t) => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const directory = scratchDirectory(t)
  const service = await ServiceApp.start(
    t,
    {
      DATABASE_URL: postgres.directUrl,
      REDIS_URL: redis.url,
      ENABLE_METRICS: 'true',
      METRICS_TOKEN: TOKEN,
    },
    directory,
  )
  const { fastify } = service.app
  const random = seededRandom()
  random.announce(t)
  const statuses = new Map<number, number>()
  const names: string[] = []

  async function ask(slug: string, index: number): Promise<void> {
    const history = index % 10 === 0
    const url = history ? `/${slug}/api/theme/history` : `/${slug}/api/public/load-theme`
    const { statusCode, headers } = await fastify.inject(url)
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    if (!history && statusCode !== 200) t.fail(`${slug}: ${statusCode}`)
    if (headers['set-cookie'] !== undefined) t.fail(`${slug}: a cookie`)
  }

  async function askMany(count: number): Promise<void> {
    for (let at = 0; at < count; at += IN_FLIGHT) {
      await Promise.all(
        Array.from({ length: IN_FLIGHT }, (_, index) => ask(madeUp(random, names), at + index)),
      )
    }
  }

  const keys = async () => new Set((await askRedis(redis.port, 'KEYS', '*')) as readonly string[])
  const series = async () => {
    const { body } = await fastify.inject({ url: '/metrics', headers: { authorization: `Bearer ${TOKEN}` } })
    const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    // Those of Node itself come as its garbage collector has something to tell.
    return new Set(
      lines.map((line) => line.replace(/ \S+$/, '')).filter((name) => !name.startsWith('nodejs_')),
    )
  }
  const files = () => new Set(readdirSync(directory, { recursive: true }).map(String))

  // Whoever comes first fills what all share: over their limit, too.
  await askMany(500)
  for (const slug of ['acme', ...WRONG.map((wrong) => wrong('warm'))]) {
    await ask(slug, 0)
    await ask(slug, 1)
  }
  const before = { keys: await keys(), series: await series(), files: files() }
  t.ok(before.series.size > 100)
  await askMany(REQUESTS)
  const after = { keys: await keys(), series: await series(), files: files() }
  const known = new RegExp(names.join('|'))
  for (const kind of ['keys', 'series', 'files'] as const) {
    const added = [...after[kind]].filter((each) => !before[kind].has(each))
    t.same(
      added.filter((each) => known.test(each.toLowerCase())),
      [],
      `${kind} that are named after somebody who was made up`,
    )
    t.ok(added.length <= OWN_ADDITIONS, `${kind}: ${added.join(', ')}`)
  }
  t.comment(
    `${[...statuses].map(([status, count]) => `${count} of ${status}`).join(', ')}; ${after.keys.size} keys, ${after.series.size} series`,
  )
  t.same(
    [...statuses.keys()].filter((status) => ![200, 400, 404, 429].includes(status)),
    [],
  )
})
