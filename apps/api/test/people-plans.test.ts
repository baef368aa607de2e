// How the database finds tenants, their themes and their users among 100,000 of each, by the statements of the service.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { AccountRepository } from '../src/routes/auth/account-repository.ts'
import { RefreshRepository } from '../src/routes/auth/refresh-repository.ts'
import { ThemeRepository } from '../src/routes/public-theme/theme-repository.ts'
import { ThemeHistoryRepository } from '../src/routes/theme-history/theme-history-repository.ts'
import { freshDatabase } from './fresh-database.ts'
import { statementPlans } from './statement-plans.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(300_000)

const { pool, db, plansOf } = statementPlans(t, await freshDatabase(postgres.directUrl))
await migrateUp(pool, migrations)
await pool.query(
  `insert into tenants (slug, name, opening_balance_minor) select 'tenant-' || n, 'Tenant ' || n, 0 from generate_series(1, 100000) as n`,
)
// As large as a small one is, or nothing would be gained by not reading it.
await pool.query(
  `insert into themes (slug, theme) select slug, jsonb_build_object('brand_name', repeat(slug, 30)) from tenants`,
)
// A third of them in one tenant: its users are no shorter way to anything.
await pool.query(
  `insert into users (tenant_id, email, password_hash, sessions_valid_after)
   select case when n % 3 = 0 then 1 else n end, 'user-' || n || '@mail.example', repeat('x', 60),
     case when n % 1000 = 0 then now() - n * interval '1 second' end
   from generate_series(1, 100000) as n`,
)
await pool.query(
  `insert into refresh_families (id, user_id, expires_at) select gen_random_uuid(), id, now() + interval '1 day' from users`,
)
await pool.query(
  `insert into registrations (token_digest, tenant_id, email, password_hash, expires_at)
   select sha256(n::text::bytea), n, 'new-' || n || '@mail.example', repeat('x', 60), now() + n * interval '1 second'
   from generate_series(1, 100000) as n`,
)
await pool.query(
  `insert into password_resets (token_digest, user_id, expires_at)
   select sha256(id::text::bytea), id, now() + interval '1 hour' from users`,
)
await pool.query('vacuum analyze')

const accounts = new AccountRepository(db)
const refreshes = new RefreshRepository(db)
const themes = new ThemeRepository(db)
const history = new ThemeHistoryRepository(db)
const name = { tenant: 'tenant-1', email: 'user-30000@mail.example' }
const digest = Buffer.alloc(32)
const hash = 'y'.repeat(60)

/** None of these tables is read from one end to the other, nor sorted. */
const NO_SCAN =
  /Seq Scan on (users|tenants|themes|refresh_families|registrations|password_resets|theme_versions)/

t.test('who signs in is found by tenant and address, and afterwards by his id', async (t) => {
  const [found = ''] = await plansOf(() => accounts.find(name))
  t.match(found, /Index Scan using tenants_slug_key on tenants/, found)
  t.match(found, /Index Scan using users_tenant_id_email_key on users/, found)
  t.notMatch(found, NO_SCAN)
  t.match(await accounts.find(name), { email: name.email }, 'and is there')
  const byId = await plansOf(async () => {
    await accounts.byId('30000')
    await accounts.confirm({ id: '30000', passwordHash: hash })
    await accounts.upgradeHash('30000', hash, hash)
    await accounts.changePassword('30000', { from: hash, to: hash })
    await refreshes.families('30000')
    await refreshes.revokeAll('30000')
  })
  t.equal(byId.length, 6)
  for (const plan of byId) {
    t.match(plan, /using (users_pkey on users|refresh_families_by_user on refresh_families)/, plan)
    t.notMatch(plan, NO_SCAN, plan)
  }
})

t.test(
  'who registers, or resets a password, is found by keys, and what is over in the order of its end',
  async (t) => {
    const [
      register = '',
      complete = '',
      reset = '',
      resettable = '',
      completeReset = '',
      administrator = '',
    ] = await plansOf(async () => {
      await accounts.register({ ...name, passwordHash: hash, tokenDigest: digest, ttlMs: 1000 })
      await accounts.completeRegistration(Buffer.alloc(32, 1))
      await accounts.startReset(name, digest, 1000)
      await accounts.resettable(digest)
      await accounts.completeReset(digest, hash)
      await accounts.makeAdministrator(name, hash)
    })
    t.match(register, /Index Scan using registrations_by_expiry on registrations/, register)
    t.match(register, /using users_tenant_id_email_key on users/, register)
    t.match(complete, /registrations_pkey/, complete)
    t.match(reset, /Index Scan using password_resets_by_expiry on password_resets/, reset)
    t.match(reset, /Index Scan using password_resets_by_user on password_resets/, reset)
    t.match(resettable, /password_resets_pkey/, resettable)
    t.match(resettable, /users_pkey/, resettable)
    t.match(completeReset, /users_pkey/, completeReset)
    t.match(administrator, /tenants_slug_key/, administrator)
    for (const plan of [register, complete, reset, resettable, completeReset, administrator]) {
      t.notMatch(plan, NO_SCAN, plan)
      t.notMatch(plan, /Sort/, plan)
    }
  },
)

t.test('ends of sign-ins are read from those that there are, not from all users', async (t) => {
  const [plan = ''] = await plansOf(() => accounts.cutoffs({ sinceMs: Date.now() - 3_600_000 }, 1000))
  t.match(plan, /users_by_cutoff/, plan)
  t.match(plan, /tenants_by_cutoff/, plan)
  t.notMatch(plan, NO_SCAN, plan)
  t.ok((await accounts.cutoffs({ sinceMs: Date.now() - 3_600_000 }, 1000)).length < 20)
})

t.test('a theme is found by its tenant, and a list is read in the order of slugs', async (t) => {
  const [one = '', some = '', saved = '', listed = ''] = await plansOf(async () => {
    await themes.find('tenant-77')
    await themes.themesOf(['tenant-7', 'tenant-70000', 'nobody'])
    await themes.save('tenant-7', { brand_name: 'New' })
    await themes.list(100)
  })
  t.match(one, /Index Scan using themes_pkey on themes/, one)
  t.match(some, /using themes_pkey on themes/, some)
  t.match(some, /using tenants_slug_key on tenants/, some)
  t.match(saved, /tenants_slug_key/, saved)
  t.match(listed, /Index Scan using tenants_slug_key on tenants/, listed)
  t.match(listed, /themes_pkey/, listed)
  for (const plan of [one, some, saved, listed]) {
    t.notMatch(plan, NO_SCAN, plan)
    t.notMatch(plan, /Sort/, plan)
  }
})

t.test('whether any theme has changed is read from the index alone', async (t) => {
  const [fingerprint = '', versions = ''] = await plansOf(async () => {
    await themes.fingerprint()
    await themes.versions(1000)
  })
  // Of all tenants, each time: the documents, which are what is large, are not touched.
  t.match(fingerprint, /Index Only Scan using themes_pkey on themes/, fingerprint)
  t.match(versions, /Index Only Scan using themes_pkey on themes/, versions)
  t.notMatch(versions, /Sort|Seq Scan/, versions)
})

t.test('a page of a history is read backwards from its cursor', async (t) => {
  const [plan = ''] = await plansOf(() => history.versions('tenant-50000', 1_000_000n, 21))
  t.match(plan, /Index Scan Backward using theme_versions_pkey on theme_versions/, plan)
  t.match(plan, /tenants_slug_key/, plan)
  t.notMatch(plan, NO_SCAN, plan)
})
