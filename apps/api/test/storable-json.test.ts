// What is kept as `jsonb`: whatever it is made of, PostgreSQL takes it, and no secret is in it.

import { seededRandom, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { storableJson, storableText } from '../src/db/storable-json.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const random = seededRandom()

/** Plain data as strange as it gets, a few levels deep. */
function anything(depth = 0): unknown {
  const leaves: (() => unknown)[] = [
    () =>
      random.pick([
        '',
        '\0',
        '\\u0000',
        '\uD800',
        'a"b\\c',
        '\u2028\u0007',
        '💥'.repeat(200),
        'x'.repeat(9000),
      ]),
    () => random.pick([0, -0, 1e300, -1e-300, 5e-324, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]),
    () => random.pick([null, true, false, undefined, 10n ** 30n, Symbol('s'), () => 1, new Date(Number.NaN)]),
  ]
  if (depth > 8 || random.next() < 0.4) return random.pick(leaves)()
  const size = random.int(0, 60)
  if (random.next() < 0.5) return Array.from({ length: size }, () => anything(depth + 3))
  const names = Array.from({ length: size }, () =>
    random.pick(['a', '\0', '__proto__', '\uDC00', 'ключ', '"', 'n']),
  )
  return Object.fromEntries(names.map((name, at) => [`${name}${at}`, anything(depth + 3)]))
}

t.test('PostgreSQL takes whatever is kept, and none is larger than its column', async (t) => {
  random.announce(t)
  const pool = testGuard(t, await freshDatabase(postgres.directUrl))
  await pool.query('create table kept (value jsonb not null check (octet_length(value::text) <= 16384))')
  let large = 0
  for (let turn = 0; turn < 300; turn += 1) {
    const text = storableJson([anything()])
    if (text?.includes('"too_large":true') === true) large += 1
    await pool.query('insert into kept select unnest($1::jsonb[])', [[text]])
  }
  t.ok(large > 0 && large < 300, `${large} of 300 were too large`)
  const circle: { self?: unknown } = {}
  circle.self = circle
  await pool.query('insert into kept values ($1)', [storableJson(circle)])
  t.equal((await pool.query('select from kept')).rowCount, 301)
})

t.test('what looks like a secret is not kept, and what is none is as it was', async (t) => {
  t.equal(storableJson(undefined), null)
  t.equal(storableJson(null), 'null')
  t.equal(storableJson({ level: 'debug', until: 12 }), '{"level":"debug","until":12}')
  const kept = storableJson({
    token: 'canary-1',
    nested: [{ Password: 'canary-2' }],
    url: 'postgres://app:canary-3@db/x',
    note: 'Authorization: Bearer canary-4-canary-4',
  })
  t.notMatch(kept, /canary/)
  t.equal(storableText('a\0b\uD800', 10), 'a\uFFFDb\uFFFD')
  t.equal(storableText('💥💥', 3), '💥\uFFFD')
})
