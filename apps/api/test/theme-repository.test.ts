import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { prepareDatabase } from '../src/db/preparation.ts'
import { ThemeRepository } from '../src/routes/public-theme/theme-repository.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function demoDatabase(t: Test) {
  const url = await freshDatabase(postgres.directUrl)
  const guard = testGuard(t, url)
  const pool = testPool(url)
  t.teardown(() => pool.end())
  await prepareDatabase(guard, { mayChange: true })
  return { pool, themes: new ThemeRepository(new Kysely<Database>({ dialect: guardedDialect(guard) })) }
}

t.test('any change by plain SQL gives a theme a new, higher version', async (t) => {
  const { pool, themes } = await demoDatabase(t)
  const versionOf = async (slug: string) => (await themes.versions(10)).get(slug) ?? 0n
  const before = await versionOf('acme')
  const other = await versionOf('globex')
  const changes = [
    `update themes set theme = theme || '{"brand_name": "Other"}' where slug = 'acme'`,
    `update themes set theme = theme where slug = 'acme'`,
    `update themes set version = 1 where slug = 'acme'`,
    `with gone as (delete from themes where slug = 'acme' returning *) select from gone`,
    `insert into themes (slug, theme, version) values ('acme', '{}', 0)`,
  ]
  let last = before
  for (const change of changes) {
    await pool.query(change)
    const now = await versionOf('acme')
    if (change.startsWith('with')) t.equal(now, 0n)
    else t.ok(now > last, `${change}: ${last} -> ${now}`)
    if (now > last) last = now
  }
  t.equal(await versionOf('globex'), other, 'the others keep theirs')
})

t.test('the fingerprint moves with everything that changes the list, and with nothing else', async (t) => {
  const { pool, themes } = await demoDatabase(t)
  const seen = new Set([await themes.fingerprint()])
  const moves = [
    `update themes set theme = '{"brand_name": "A"}' where slug = 'acme'`,
    `update tenants set status = 'suspended' where slug = 'acme'`,
    `update tenants set slug = 'globex-two' where slug = 'globex'`,
    `insert into tenants (slug, name) values ('new', 'New'); insert into themes (slug, theme) values ('new', '{}')`,
    `delete from tenants where slug = 'new'`,
  ]
  for (const sql of moves) {
    await pool.query(sql)
    const fingerprint = await themes.fingerprint()
    if (sql.startsWith('delete'))
      t.ok(seen.has(fingerprint), 'a state that was there before has its fingerprint')
    else t.notOk(seen.has(fingerprint), sql)
    seen.add(fingerprint)
  }
  for (const sql of [
    `update tenants set name = 'Renamed' where slug = 'globex-two'`,
    `update themes set theme = '{}' where slug = 'acme' /* suspended */`,
    `insert into tenants (slug, name) values ('themeless', 'No theme of its own')`,
  ]) {
    await pool.query(sql)
    t.ok(seen.has(await themes.fingerprint()), sql)
  }
  await pool.query('truncate themes')
  t.equal(await themes.fingerprint(), '0:')
})

t.test('a change that is committed late, with a lower version than one already seen, is seen', async (t) => {
  const { pool, themes } = await demoDatabase(t)
  const slow = await pool.connect()
  try {
    await slow.query('begin')
    await slow.query(`update themes set theme = '{"brand_name": "Slow"}' where slug = 'acme'`)
    await pool.query(`update themes set theme = '{"brand_name": "Quick"}' where slug = 'globex'`)
    const fingerprint = await themes.fingerprint()
    const seen = await themes.versions(10)
    await slow.query('commit')
    const late = await themes.versions(10)
    const [slowVersion = 0n, quickVersion = 0n] = [late.get('acme'), late.get('globex')]
    t.ok(
      slowVersion < quickVersion,
      `${slowVersion} was taken before ${quickVersion}, and committed after it`,
    )
    t.equal(seen.get('globex'), quickVersion)
    t.not(seen.get('acme'), slowVersion)
    t.not(await themes.fingerprint(), fingerprint)
    t.match(await themes.themesOf(['acme']), [{ document: { brand_name: 'Slow' } }])
  } finally {
    slow.release()
  }
})

t.test('themes are read in one batch, without suspended and unknown tenants', async (t) => {
  const { pool, themes } = await demoDatabase(t)
  await pool.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  const slugs = ['acme', 'globex', 'nobody', `'; drop table themes; --`, '{"a","b"}']
  t.strictSame(
    (await themes.themesOf(slugs)).map(({ slug }) => slug),
    ['acme'],
  )
  t.strictSame(await themes.themesOf([]), [])
  t.equal((await themes.versions(0)).size, 0)
})

t.test('a theme is written with its tenant, and for no other', async (t) => {
  const { pool, themes } = await demoDatabase(t)
  const before = (await themes.find('acme'))?.version ?? 0n
  const version = await themes.save('acme', { brand_name: 'New' })
  t.ok(version !== undefined && version > before)
  t.match(await themes.find('acme'), { slug: 'acme', version, document: { brand_name: 'New' } })
  t.equal(await themes.save('nobody', {}), undefined)
  t.equal(await themes.find('nobody'), undefined)
  await pool.query(`insert into tenants (slug, name) values ('bare', 'Bare')`)
  t.match(await themes.list(10), [
    { slug: 'acme', status: 'active', version, updatedAt: Date },
    { slug: 'bare', version: undefined, updatedAt: undefined },
    { slug: 'globex' },
  ])
  t.equal((await themes.list(1)).length, 1)
  t.ok((await themes.save('bare', {})) !== undefined)
})
