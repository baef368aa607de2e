import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StaleCaches } from '@holdfast/stale-cache'
import t, { type Test } from 'tap'
import { ThemeCache } from '../src/routes/public-theme/theme-cache.ts'
import type { StoredTheme } from '../src/routes/public-theme/theme-repository.ts'
import { scratchDirectory } from './service-process.ts'

function setUp(
  t: Test,
  { snapshotFile, maxBytes = 1_000_000 }: { snapshotFile?: string; maxBytes?: number } = {},
) {
  const stored = new Map<string, StoredTheme>()
  const state = { failing: false }
  const evictions: number[] = []
  const unusable: string[] = []
  const caches = new StaleCaches(1)
  t.teardown(() => caches.close())
  const themes = new ThemeCache({
    caches,
    load: async (slugs) => {
      if (state.failing) throw new Error('the database is away')
      return slugs.flatMap((slug) => stored.get(slug) ?? [])
    },
    onUnusable: (slug) => unusable.push(slug),
    onEvicted: (count) => evictions.push(count),
    maxThemes: 1000,
    maxBytes,
    maxBatch: 100,
    snapshotFile,
  })
  const put = (slug: string, document: unknown, version = 1n) => stored.set(slug, { slug, version, document })
  const brandOf = (slug: string) => themes.reader.peek(slug).value.theme.brand_name
  return { themes, caches, stored, state, evictions, unusable, put, brandOf }
}

/** What a look into the database tells of these themes. */
function seen(...slugs: readonly string[]) {
  return new Map(slugs.map((slug) => [slug, 1n]))
}

t.test('a load that failed is told, and what was held stays', async (t) => {
  const { themes, state, put, brandOf } = setUp(t)
  put('acme', { brand_name: 'Acme' })
  await themes.refresh(seen('acme'))
  state.failing = true
  await t.rejects(themes.refresh(seen('acme')), { code: 'HOLDFAST_ERR_API_THEMES_NOT_LOADED' })
  await t.rejects(themes.retain(new Set()), { code: 'HOLDFAST_ERR_API_THEMES_NOT_LOADED' })
  t.equal(brandOf('acme'), 'Acme')
  state.failing = false
  await themes.retain(new Set(['acme']))
  t.equal(brandOf('acme'), 'Acme')
})

t.test(
  'a tenant that is gone is forgotten, and so is one that only the file of the life before knew',
  async (t) => {
    const snapshotFile = join(scratchDirectory(t), 'themes.snapshot')
    const before = setUp(t, { snapshotFile })
    before.put('acme', { brand_name: 'Acme' })
    before.put('gone', { brand_name: 'Gone' })
    await before.themes.refresh(seen('acme', 'gone'))
    await before.caches.close()

    const after = setUp(t, { snapshotFile })
    await after.themes.ready
    t.strictSame([after.brandOf('acme'), after.brandOf('gone')], ['Acme', 'Gone'])
    t.equal(after.themes.reader.peek('gone').source, 'snapshot')
    after.put('acme', { brand_name: 'Acme' })
    await after.themes.retain(new Set(['acme']))
    t.strictSame([after.brandOf('acme'), after.brandOf('gone')], ['Acme', 'Holdfast'])
    after.themes.beginConfirmation()(true)
    t.equal(after.themes.reader.peek('acme').source, 'fresh')
  },
)

t.test('a version may go back, as in a database that was restored from a backup', async (t) => {
  const { themes, put } = setUp(t)
  put('acme', { brand_name: 'New' }, 9n)
  await themes.refresh(seen('acme'))
  put('acme', { brand_name: 'Old' }, 3n)
  await themes.refresh(seen('acme'))
  t.match(themes.reader.peek('acme').value, { version: '3', theme: { brand_name: 'Old' } })
})

t.test('a document that cannot be served keeps the last good one, and is nobody without one', async (t) => {
  const { themes, unusable, put, brandOf } = setUp(t)
  put('acme', { brand_name: 'Good' })
  put('globex', { brand_name: 7 })
  await themes.refresh(seen('acme', 'globex'))
  put('acme', 'not even an object', 2n)
  await themes.refresh(seen('acme'))
  t.strictSame(unusable, ['globex', 'acme'])
  t.strictSame([brandOf('acme'), brandOf('globex')], ['Good', 'Holdfast'])
  t.equal(themes.reader.peek('globex').source, 'default')
})

t.test('themes that do not fit into the memory they may take are told', async (t) => {
  const { themes, caches, evictions, put } = setUp(t, { maxBytes: 65_536 })
  const slugs = Array.from({ length: 200 }, (_, index) => `tenant-${index}`)
  for (const slug of slugs) put(slug, { brand_name: slug })
  await themes.refresh(seen(...slugs))
  themes.beginConfirmation()(true)
  const { bytes, entries } = caches.get('themes')?.snapshot() ?? { bytes: Number.NaN, entries: Number.NaN }
  t.ok(bytes <= 65_536, `${bytes} bytes`)
  t.strictSame(evictions, [200 - entries])
  themes.beginConfirmation()(true)
  t.equal(evictions.length, 1, 'once')
})

t.test('a file that holds something else than themes is not served', async (t) => {
  const snapshotFile = join(scratchDirectory(t), 'themes.snapshot')
  const before = setUp(t, { snapshotFile })
  before.put('acme', { brand_name: 'Acme' })
  await before.themes.refresh(seen('acme'))
  await before.caches.close()
  writeFileSync(snapshotFile, readFileSync(snapshotFile, 'utf8').replaceAll('Acme', 'Evil'))
  const after = setUp(t, { snapshotFile })
  await after.themes.ready
  t.equal(after.brandOf('acme'), 'Holdfast', 'its checksum is wrong')
})
