import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StaleCache, type StaleCacheOptions } from '@holdfast/stale-cache'

const directory = await mkdtemp(join(tmpdir(), 'themes-'))

const options: StaleCacheOptions<{ color: string }> = {
  load: async (keys) => keys.map((key) => ({ key, value: { color: '#0a6' } })),
  fallback: () => ({ color: '#888' }),
  snapshotFile: join(directory, 'themes.snapshot'),
}

const before = new StaleCache('themes', options)
await before.refresh(['acme'])
await before.close()

// The next process starts while the database is dead.
const after = new StaleCache('themes', {
  ...options,
  load: async () => {
    throw new Error('the database is gone')
  },
})
await after.ready
console.log(after.peek('acme').source, after.peek('acme').value)
await after.close()
await rm(directory, { recursive: true })
