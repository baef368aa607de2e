import { execFileSync, spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { systemClock } from '@holdfast/singleflight'
import { HandClock, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { SnapshotEvent } from '../src/events.ts'
import { SnapshotFile } from '../src/snapshot-file.ts'
import { cacheOver, fail } from './source.ts'

function fileIn(t: Test): string {
  const directory = temporaryDirectory('snapshot')
  t.teardown(() => directory.remove())
  return join(directory.path, 'things.snapshot')
}

/** Writes a good file with these keys, and answers its path. */
async function written(t: Test, keys: readonly string[], wallMs?: number): Promise<string> {
  const file = fileIn(t)
  const clock = new HandClock(wallMs === undefined ? {} : { wallMs })
  const { cache } = cacheOver({ snapshotFile: file, clock })
  for (const key of keys) cache.set(key, { value: { text: `kept ${key}` }, version: 1, tags: ['kept'] })
  await cache.close()
  return file
}

t.test('after a restart with a dead source, the last known good values are served as such', async (t) => {
  const file = fileIn(t)
  const before = cacheOver({ snapshotFile: file })
  before.source.has('acme', 'blue', { version: 7n, tags: ['brand'] })
  before.source.has('globex', 'red', { version: 1.5 })
  before.source.has('plain', 'grey')
  await before.cache.refresh(['acme', 'globex', 'plain'])
  await before.clock.advance(400)
  await before.cache.close()
  t.equal(statSync(file).mode & 0o777, 0o600)

  const clock = new HandClock({ wallMs: before.clock.wallMs() + 100 })
  const after = cacheOver({ snapshotFile: file, clock })
  after.source.answer = fail('down')
  await after.cache.ready
  const peeked = after.cache.peek('acme')
  t.match(peeked, { source: 'snapshot', value: { text: 'blue' }, version: 7n, ageMs: 500, ttlMs: 0 })
  t.ok(peeked.representation.identity.body.includes('blue'))
  t.equal(after.cache.peek('globex').version, 1.5)
  t.equal(after.cache.peek('plain').version, undefined)
  t.same(await after.cache.get('acme'), { text: 'blue' })
  await clock.advance(250)
  t.equal(after.cache.peek('acme').source, 'snapshot', 'a failing source does not take it away')
  t.equal(after.cache.invalidateTag('brand'), 1)
  after.source.answer = () => [{ key: 'acme', value: { text: 'new' }, version: 8n }]
  await after.cache.refresh(['acme'])
  t.match(after.cache.peek('acme'), { source: 'fresh', value: { text: 'new' } })
  t.match(after.cache.snapshot().file, { entriesRead: 3, ignored: 0, late: 0, readsFailed: 0 })
  await clock.advance(11_000)
  t.equal(after.cache.peek('globex').source, 'default', 'and it expires like any other')
  await after.cache.close()
})

t.test('what the file holds never replaces what is newer', async (t) => {
  const file = fileIn(t)
  const before = cacheOver({ snapshotFile: file })
  before.cache.set('same', { value: { text: 'file' } })
  before.cache.set('older', { value: { text: 'file' }, version: 1 })
  before.cache.set('newer', { value: { text: 'file' }, version: 9 })
  await before.cache.close()
  const { cache } = cacheOver({ snapshotFile: file })
  cache.set('same', { value: { text: 'memory' } })
  cache.set('older', { value: { text: 'memory' }, version: 2 })
  cache.set('newer', { value: { text: 'memory' }, version: 2 })
  await cache.ready
  t.match(cache.peek('same'), { source: 'fresh', value: { text: 'memory' } })
  t.match(cache.peek('older'), { source: 'fresh', value: { text: 'memory' } })
  t.match(cache.peek('newer'), { source: 'snapshot', value: { text: 'file' }, version: 9 })
  await cache.close()
})

t.test('a damaged file is ignored, counted, put aside and replaced', async (t) => {
  const damages: Record<string, (file: string) => void> = {
    'cut off in a line': (file) => truncateSync(file, Math.floor(statSync(file).size / 2)),
    'cut off before the trailer': (file) => {
      const text = readFileSync(file, 'utf8')
      writeFileSync(file, text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1))
    },
    empty: (file) => truncateSync(file, 0),
    'a flipped bit': (file) => {
      const bytes = readFileSync(file)
      const at = bytes.indexOf('kept a')
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      writeFileSync(file, bytes)
    },
    'not JSON': (file) => writeFileSync(file, `${'x'.repeat(1_000)}\n`.repeat(3)),
    'a trailer of another kind': (file) => writeFileSync(file, '{}\n7\n'),
    'an endless trailer': (file) => writeFileSync(file, `{}\n{"sha256":"${'0'.repeat(5_000)}"}\n`),
  }
  for (const [damage, inflict] of Object.entries(damages)) {
    const file = await written(t, ['a', 'b'])
    inflict(file)
    const { cache } = cacheOver({ snapshotFile: file })
    await cache.ready
    t.equal(cache.peek('a').source, 'default', damage)
    t.match(cache.snapshot().file, { ignored: 1, entriesRead: 0, problem: /cut off|checksum/ }, damage)
    t.ok(existsSync(`${file}.corrupt`), `${damage}: put aside`)
    cache.set('a', { value: { text: 'again' } })
    await cache.close()
    const next = cacheOver({ snapshotFile: file })
    await next.cache.ready
    t.same(next.cache.peek('a').value, { text: 'again' }, `${damage}: replaced`)
    await next.cache.close()
  }
})

t.test(
  'a file of another format, another cache, too large, or no file at all is ignored, and left',
  async (t) => {
    const file = await written(t, ['a'])
    const other = cacheOver({ snapshotFile: file, maxSnapshotBytes: 1_024 })
    await other.cache.close()
    const { StaleCache } = await import('../src/stale-cache.ts')
    const stranger = new StaleCache('stranger', {
      load: async () => [],
      fallback: () => 0,
      snapshotFile: file,
    })
    await stranger.ready
    t.match(stranger.snapshot().file, { ignored: 1, problem: 'it belongs to another cache' })
    await stranger.close()
    t.notOk(existsSync(`${file}.corrupt`))

    writeFileSync(file, 'x'.repeat(2_000))
    const large = cacheOver({ snapshotFile: file, maxSnapshotBytes: 1_024 })
    await large.cache.ready
    t.match(large.cache.snapshot().file, { ignored: 1, problem: /larger than maxSnapshotBytes = 1024/ })
    await large.cache.close()

    const directory = fileIn(t)
    mkdirSync(directory)
    const none = cacheOver({ snapshotFile: directory })
    await none.cache.ready
    t.match(none.cache.snapshot().file, { ignored: 1, problem: 'it is not a file' })
    none.cache.set('a', { value: { text: 'a' } })
    await none.cache.close()
    t.match(none.cache.snapshot().file, { writes: 0, writesFailed: 1, problem: /EISDIR|ENOTEMPTY|EEXIST/ })
    t.same(readdirSync(join(directory, '..')), ['things.snapshot'], 'no temporary file stays')

    const absent = cacheOver({ snapshotFile: fileIn(t) })
    await absent.cache.ready
    t.match(absent.cache.snapshot().file, { ignored: 0, readsFailed: 0, problem: undefined })
    await absent.cache.close()
  },
)

/** Runs `work` as somebody who may do everything in the directory of `file`, and may not read what is not his. */
async function asOwnerOfDirectory(file: string, work: () => Promise<void>): Promise<void> {
  const root = process.geteuid?.() === 0
  if (root) chownSync(dirname(file), 65_534, 65_534)
  if (root) process.seteuid?.(65_534)
  try {
    await work()
  } finally {
    if (root) process.seteuid?.(0)
  }
}

t.test('a file that may not be read is put aside, and writing goes on', async (t) => {
  const file = await written(t, ['a'])
  chmodSync(file, 0)
  await asOwnerOfDirectory(file, async () => {
    const { cache } = cacheOver({ snapshotFile: file })
    await cache.ready
    t.match(cache.snapshot().file, { ignored: 1, readsFailed: 0, problem: /it cannot be read: .*EACCES/ })
    t.ok(existsSync(`${file}.corrupt`))
    cache.set('b', { value: { text: 'again' } })
    await cache.close()
    t.match(cache.snapshot().file, { ignored: 1, writes: 1, writesFailed: 0 })
    const next = cacheOver({ snapshotFile: file })
    await next.cache.ready
    t.same(next.cache.peek('b').value, { text: 'again' })
    await next.cache.close()
  })
})

t.test('a file that has become unreadable since is counted and replaced', async (t) => {
  const file = fileIn(t)
  const { cache } = cacheOver({ snapshotFile: file })
  await cache.ready
  writeFileSync(file, 'of another owner')
  chmodSync(file, 0)
  await asOwnerOfDirectory(file, async () => {
    cache.set('a', { value: { text: 'a' } })
    await cache.close()
    t.match(cache.snapshot().file, { ignored: 1, writes: 1, writesFailed: 0, problem: /EACCES/ })
  })
})

t.test('a link that leads to itself is replaced', async (t) => {
  const file = fileIn(t)
  symlinkSync(file, file)
  const { cache } = cacheOver({ snapshotFile: file })
  cache.set('a', { value: { text: 'a' } })
  await cache.close()
  t.match(cache.snapshot().file, { readsFailed: 0, writes: 1, writesFailed: 0 })
})

t.test('a process without file handles leaves the file to the next try', async (t) => {
  const file = await written(t, ['a'])
  const program = `
    import { closeSync, openSync } from 'node:fs'
    import { StaleCache } from '@holdfast/stale-cache'
    const options = { load: async () => [], fallback: () => '', snapshotFile: process.argv[1] }
    // What is loaded when it is first needed is loaded here.
    await new StaleCache('warm', { ...options, snapshotFile: process.argv[1] + '.none' }).close()
    const taken = []
    try {
      for (;;) taken.push(openSync(process.execPath))
    } catch {}
    const cache = new StaleCache('things', options)
    await cache.ready
    for (const handle of taken) closeSync(handle)
    console.log(JSON.stringify(cache.snapshot().file))
    await cache.close()
  `
  const node = `ulimit -n 64; exec "$@"`
  const run = spawnSync(
    'sh',
    [
      '-c',
      node,
      'sh',
      process.execPath,
      '--conditions=@holdfast/source',
      '--input-type=module',
      '-e',
      program,
      file,
    ],
    { cwd: import.meta.dirname, encoding: 'utf8' },
  )
  t.match(run, { status: 0, stderr: '' })
  t.match(JSON.parse(run.stdout), { ignored: 0, readsFailed: 1, problem: /EMFILE/ })
  t.ok(existsSync(file))
})

t.test('a pipe in place of the file does not hang the start', async (t) => {
  const file = fileIn(t)
  execFileSync('mkfifo', [file])
  const { cache } = cacheOver({ snapshotFile: file })
  await cache.ready
  t.match(cache.snapshot().file, { ignored: 1, problem: 'it is not a file' })
  await cache.close()
})

t.test('a format of the future is ignored', async (t) => {
  const { createHash } = await import('node:crypto')
  const file = fileIn(t)
  const body = '{"format":"holdfast-stale-cache-2","cache":"things"}\n{"key":"a"}\n'
  const sha256 = createHash('sha256').update(body).digest('hex')
  writeFileSync(file, `${body}${JSON.stringify({ entries: 1, sha256 })}\n`)
  const { cache } = cacheOver({ snapshotFile: file })
  await cache.ready
  t.match(cache.snapshot().file, { ignored: 1, problem: /format is not/ })
  await cache.close()
})

t.test('lines that are no records are left out of an intact file', async (t) => {
  const { createHash } = await import('node:crypto')
  const file = fileIn(t)
  const good = { key: 'good', tags: [], confirmedAtMs: 1_700_000_000_000, value: { text: 'good' } }
  const lines = [
    good,
    { ...good, key: 1 },
    { ...good, key: 'no time', confirmedAtMs: 'now' },
    { ...good, key: 'no tags', tags: 'a' },
    { ...good, key: 'bad tag', tags: [1] },
    { ...good, key: 'bad version', version: '1' },
    { ...good, key: 'bad big version', bigVersion: '0x1' },
    { key: 'no value', tags: [], confirmedAtMs: 1_700_000_000_000 },
    [],
    null,
    { ...good, key: 'refused by isKey' },
    { ...good, key: 'refused by revive' },
  ].map((line) => `${JSON.stringify(line)}\n`)
  const body = `{"format":"holdfast-stale-cache-1","cache":"things"}\n{broken\n${lines.join('')}`
  const sha256 = createHash('sha256').update(body).digest('hex')
  writeFileSync(file, `${body}${JSON.stringify({ entries: 13, sha256 })}\n`)
  const { cache } = cacheOver({
    snapshotFile: file,
    isKey: (key) => key !== 'refused by isKey',
    revive: (json, key) => {
      if (key === 'refused by revive') throw new Error('of an older release')
      return json as { text: string }
    },
  })
  await cache.ready
  t.match(cache.snapshot(), { entries: 1, recordsRefused: 1, file: { entriesRead: 3 } })
  t.same(cache.peek('good').value, { text: 'good' })
  await cache.close()
})

t.test(
  'ages survive a restart by the wall clock, and a clock that was set back makes nothing immortal',
  async (t) => {
    const wallMs = 1_700_000_000_000
    const file = await written(t, ['a'], wallMs)
    const cases: readonly (readonly [number, Record<string, unknown>])[] = [
      [wallMs + 5_000, { source: 'snapshot', ageMs: 5_000, ttlMs: -4_000 }],
      [wallMs + 11_000, { source: 'default' }],
      [wallMs - 86_400_000, { source: 'snapshot', ageMs: 0, ttlMs: 0 }],
    ]
    for (const [now, expected] of cases) {
      const clock = new HandClock({ wallMs: now })
      const { cache, source } = cacheOver({ snapshotFile: file, clock })
      source.answer = fail('down')
      await cache.ready
      t.match(cache.peek('a'), expected)
      clock.jumpWall(-86_400_000)
      await clock.advance(11_000)
      t.equal(cache.peek('a').source, 'default', 'the monotonic clock decides from here')
      await cache.close()
    }
  },
)

t.test(
  'a change is written within the interval, many changes once, and confirmations only now and then',
  async (t) => {
    const file = fileIn(t)
    const { cache, clock, source } = cacheOver({
      snapshotFile: file,
      snapshotIntervalMs: 100,
      freshMs: 1_000,
    })
    const events: SnapshotEvent[] = []
    const listen = (event: unknown) => events.push(event as SnapshotEvent)
    subscribe('holdfast:stale-cache:snapshot', listen)
    t.teardown(() => unsubscribe('holdfast:stale-cache:snapshot', listen))
    await cache.ready
    for (let index = 0; index < 100; index += 1) source.has(`key-${index}`, 'x')
    await cache.refresh(source.rows.keys())
    await clock.advance(99)
    t.notOk(existsSync(file))
    await clock.advance(1)
    await waitUntil(() => cache.snapshot().file?.writes === 1)
    t.match(cache.snapshot().file, { entriesWritten: 100, bytesWritten: Number })
    await cache.refresh(source.rows.keys())
    await clock.advance(500)
    t.equal(clock.pendingTimers, 0, 'the same bytes again: nothing to write')
    await clock.advance(500)
    t.equal(cache.beginConfirmation()(['key-0']), 1)
    await clock.advance(100)
    await waitUntil(() => cache.snapshot().file?.writes === 2)
    source.rows.delete('key-0')
    await cache.refresh(['key-0'])
    await clock.advance(100)
    await waitUntil(() => cache.snapshot().file?.writes === 3)
    t.equal(cache.snapshot().file?.entriesWritten, 99, 'what the source no longer knows is gone')
    await cache.close()
    t.equal(cache.snapshot().file?.writes, 3, 'nothing changed, nothing written')
    t.same(
      events.map(({ operation, outcome }) => `${operation} ${outcome}`),
      ['read absent', 'write done', 'write done', 'write done'],
    )
  },
)

t.test('the file has a bound, and the values read last come first', async (t) => {
  const file = fileIn(t)
  const { cache } = cacheOver({ snapshotFile: file, maxSnapshotBytes: 1_024 })
  for (let index = 0; index < 100; index += 1) cache.set(`key-${index}`, { value: { text: 'x'.repeat(50) } })
  cache.peek('key-7')
  await cache.close()
  t.ok(statSync(file).size <= 1_024)
  const next = cacheOver({ snapshotFile: file, maxSnapshotBytes: 1_024, maxEntries: 2 })
  await next.cache.ready
  t.equal(next.cache.peek('key-7').source, 'snapshot', 'the most important one stays, whatever the bounds')
  t.equal(next.cache.peek('key-99').source, 'snapshot')
  t.equal(next.cache.snapshot().entries, 2)
  await next.cache.close()
})

t.test('what JSON cannot hold, and what has expired, is left out', async (t) => {
  const file = fileIn(t)
  const { StaleCache } = await import('../src/stale-cache.ts')
  const clock = new HandClock()
  const open = () =>
    new StaleCache<unknown, undefined>('odd', {
      load: async () => [],
      fallback: () => null,
      represent: false,
      freshMs: 100,
      staleMs: 100,
      ttlJitter: 0,
      snapshotFile: file,
      clock,
    })
  const cache = open()
  cache.set('old', { value: 1 })
  await clock.advance(200)
  cache.set('big', { value: 1n })
  cache.set('nothing', { value: undefined })
  cache.set('function', { value: () => 1 })
  cache.set('good', { value: [1] })
  await cache.close()
  const next = open()
  await next.ready
  t.equal(next.snapshot().entries, 1)
  t.same(next.peek('good').value, [1])
  t.equal(next.peek('good').representation, undefined)
  await next.close()
})

t.test(
  'a directory that is missing, unwritable or gone is counted, never thrown, and tried again',
  async (t) => {
    const file = join(fileIn(t), '..', 'missing', 'things.snapshot')
    const { cache, clock } = cacheOver({ snapshotFile: file, snapshotIntervalMs: 100 })
    await cache.ready
    cache.set('a', { value: { text: 'a' } })
    await clock.advance(100)
    await waitUntil(() => cache.snapshot().file?.writesFailed === 1)
    t.match(cache.snapshot().file, { writes: 0, problem: /ENOENT/ })
    mkdirSync(join(file, '..'))
    await waitUntil(() => clock.pendingTimers === 1)
    await clock.advance(1_000)
    await waitUntil(() => cache.snapshot().file?.writes === 1)
    await cache.close()

    const blocked = cacheOver({ snapshotFile: join(file, 'below a file') })
    await blocked.cache.ready
    blocked.cache.set('a', { value: { text: 'a' } })
    await blocked.cache.close()
    t.match(blocked.cache.snapshot().file, { readsFailed: 1, writesFailed: 1, problem: /ENOTDIR/ })

    // Not even root may write there.
    const unwritable = cacheOver({ snapshotFile: '/proc/things.snapshot' })
    await unwritable.cache.ready
    unwritable.cache.set('a', { value: { text: 'a' } })
    await unwritable.cache.close()
    t.match(unwritable.cache.snapshot().file, { writesFailed: 1, problem: /ENOENT|EACCES|EPERM/ })
    t.same(unwritable.cache.peek('a').value, { text: 'a' })
  },
)

t.test('a write that failed rests, longer every time, however short the interval is', async (t) => {
  const directory = join(fileIn(t), '..', 'missing')
  const snapshotFile = join(directory, 'things.snapshot')
  const { cache, clock } = cacheOver({
    snapshotFile,
    snapshotIntervalMs: 0,
    backoffMs: 100,
    maxBackoffMs: 300,
  })
  await cache.ready
  const failures = async (count: number) => {
    await waitUntil(() => cache.snapshot().file?.writesFailed === count && clock.pendingTimers === 1)
  }
  cache.set('a', { value: { text: 'a' } })
  await clock.advance(0)
  await failures(1)
  for (const [index, pauseMs] of [100, 200, 300, 300].entries()) {
    cache.set('a', { value: { text: `change ${index}` } })
    await clock.advance(pauseMs - 1)
    await failures(index + 1)
    await clock.advance(1)
    await failures(index + 2)
  }
  mkdirSync(directory)
  await clock.advance(300)
  await waitUntil(() => cache.snapshot().file?.writes === 1)
  await waitUntil(() => clock.pendingTimers === 0)
  cache.set('a', { value: { text: 'again without a pause' } })
  await clock.advance(0)
  await waitUntil(() => cache.snapshot().file?.writes === 2)
  t.match(cache.snapshot().file, { writesFailed: 5, entriesWritten: 1 })
  await cache.close()
})

/** A disk of 64 KiB, or false where the test may not mount one. */
function mountSmallDisk(t: Test): string | false {
  const directory = temporaryDirectory('full')
  t.teardown(() => directory.remove())
  const options = ['-t', 'tmpfs', '-o', 'size=64k', 'holdfast-test', directory.path]
  if (spawnSync('mount', options).status !== 0) return false
  t.teardown(() => void spawnSync('umount', [directory.path]))
  return directory.path
}

t.test('a full disk keeps the old file, and leaves nothing behind', async (t) => {
  const disk = mountSmallDisk(t)
  if (disk === false) {
    t.pass('needs the right to mount a small tmpfs', { skip: 'run as root to fill a disk' })
    return
  }
  const file = join(disk, 'things.snapshot')
  const { cache, clock } = cacheOver({ snapshotFile: file, snapshotIntervalMs: 100 })
  cache.set('small', { value: { text: 'small' } })
  await clock.advance(100)
  await waitUntil(() => cache.snapshot().file?.writes === 1)
  cache.set('huge', { value: { text: 'x'.repeat(200_000) } })
  await clock.advance(100)
  await waitUntil(() => cache.snapshot().file?.writesFailed === 1)
  t.match(cache.snapshot().file?.problem, /ENOSPC/)
  t.same(readdirSync(disk), ['things.snapshot'])
  t.match(cache.peek('huge'), { source: 'fresh' })
  await cache.close()
  const next = cacheOver({ snapshotFile: file })
  await next.cache.ready
  t.same(next.cache.peek('small').value, { text: 'small' })
  await next.cache.close()
})

/** Every turn of the event loop that the file is read in takes a millisecond. */
class SlowTurns extends HandClock {
  override schedule(delayMs: number, callback: () => void): () => void {
    return super.schedule(Math.max(1, delayMs), callback)
  }
}

t.test('ready does not wait longer than its budget, and the rest of the file follows behind', async (t) => {
  const file = fileIn(t)
  const first = cacheOver({ snapshotFile: file })
  for (let index = 0; index < 20; index += 1) {
    first.cache.set(`key-${index}`, { value: { text: `${'x'.repeat(50_000)}` } })
  }
  await first.cache.close()
  const clock = new SlowTurns()
  const { cache } = cacheOver({ snapshotFile: file, snapshotLoadBudgetMs: 0, snapshotIntervalMs: 1, clock })
  await waitUntil(() => clock.pendingTimers === 2)
  await clock.advance(1)
  await cache.ready
  t.match(cache.snapshot().file, { late: 1, entriesRead: 0 })
  t.ok(cache.snapshot().entries < 20, 'not everything is there yet')
  cache.set('new', { value: { text: 'written only after the file is read' } })
  await waitUntil(async () => {
    await clock.advance(1)
    return (cache.snapshot().file?.writes ?? 0) > 0
  })
  t.equal(cache.snapshot().entries, 21)
  t.equal(cache.snapshot().file?.entriesWritten, 21)
  await cache.close()
})

t.test('processes that share a file keep the newer of what both have written', async (t) => {
  const file = fileIn(t)
  const one = cacheOver({ snapshotFile: file })
  const two = cacheOver({ snapshotFile: file })
  await Promise.all([one.cache.ready, two.cache.ready])
  one.cache.set('shared', { value: { text: 'v2' }, version: 2 })
  one.cache.set('own', { value: { text: 'one' } })
  await one.cache.close()
  two.cache.set('shared', { value: { text: 'v1' }, version: 1 })
  two.cache.set('also', { value: { text: 'two' } })
  await two.cache.close()
  const { cache } = cacheOver({ snapshotFile: file })
  await cache.ready
  t.match(cache.peek('shared'), { value: { text: 'v2' }, version: 2 })
  t.same([cache.peek('own').value, cache.peek('also').value], [{ text: 'one' }, { text: 'two' }])
  await cache.close()
})

t.test('what was written while the wall clock was ahead does not stay in a shared file', async (t) => {
  const snapshotFile = fileIn(t)
  const clock = new HandClock()
  const options = { snapshotFile, clock, snapshotIntervalMs: 100 }
  const [one, two] = [cacheOver(options).cache, cacheOver(options).cache]
  await Promise.all([one.ready, two.ready])
  const write = async (cache: typeof one, key: string, text: string) => {
    const before = cache.snapshot().file?.writes ?? 0
    cache.set(key, { value: { text } })
    await clock.advance(100)
    await waitUntil(() => cache.snapshot().file?.writes === before + 1)
  }
  clock.jumpWall(86_400_000)
  await write(one, 'acme', 'ahead')
  clock.jumpWall(-86_400_000)
  await write(two, 'globex', 'red')
  await clock.advance(1)
  await write(one, 'acme', 'now')
  const { cache } = cacheOver({ ...options })
  await cache.ready
  t.same(cache.peek('acme').value, { text: 'now' })
  await Promise.all([one.close(), two.close(), cache.close()])
})

t.test(
  'what a process left behind that died while it wrote is removed, what a living one writes is not',
  async (t) => {
    const file = fileIn(t)
    const { cache, clock } = cacheOver({ snapshotFile: file })
    await cache.ready
    const seconds = clock.wallMs() / 1_000
    const abandoned = `${file}.0123456789ab.tmp`
    const beingWritten = `${file}.ba9876543210.tmp`
    const notOurs = `${file}.note.tmp`
    for (const [name, ageSeconds] of [
      [abandoned, 61],
      [beingWritten, 1],
      [notOurs, 61],
    ] as const) {
      writeFileSync(name, 'half')
      utimesSync(name, seconds - ageSeconds, seconds - ageSeconds)
    }
    cache.set('acme', { value: { text: 'blue' } })
    await cache.close()
    const left = [beingWritten, notOurs, file].map((path) => basename(path))
    t.same(readdirSync(dirname(file)).sort(), left.sort())
  },
)

t.test('writers of one process id, as in two containers, never put half a file in place', async (t) => {
  const file = fileIn(t)
  // Nothing else keeps this process alive between the slices of a file.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const options = {
    file,
    cache: 'things',
    maxBytes: 2 ** 26,
    clock: systemClock,
    random: Math.random,
    keepsForeign: () => true,
  }
  const writers = Array.from({ length: 4 }, () => new SnapshotFile(options))
  const records = Array.from({ length: 200 }, (_, index) => ({
    key: `key${index}`,
    value: 'x'.repeat(5_000),
    version: undefined,
    tags: [],
    confirmedAtMs: 0,
  }))
  for (let round = 0; round < 10; round += 1) {
    const results = await Promise.all(writers.map((writer) => writer.write(records)))
    t.same(new Set(results.map(({ outcome, problem }) => problem ?? outcome)), new Set(['done']))
    const { outcome, entries } = await new SnapshotFile(options).read(() => {})
    t.same([outcome, entries], ['done', 200])
  }
})

t.test('a directory that cannot be flushed costs no write', async (t) => {
  const file = fileIn(t)
  const directory = dirname(file)
  // May be written to, but not opened: what Windows says of every directory.
  chmodSync(directory, 0o300)
  const root = process.geteuid?.() === 0
  if (root) chownSync(directory, 65_534, 65_534)
  if (root) process.seteuid?.(65_534)
  try {
    const { cache } = cacheOver({ snapshotFile: file })
    cache.set('acme', { value: { text: 'blue' } })
    await cache.close()
    t.match(cache.snapshot().file, { writes: 1, writesFailed: 0, problem: undefined })
  } finally {
    if (root) process.seteuid?.(0)
    chmodSync(directory, 0o700)
  }
})

t.test('a process with nothing else to do lives until its files are read and written', async (t) => {
  const file = fileIn(t)
  const program = `
    import { existsSync } from 'node:fs'
    import { StaleCache } from '@holdfast/stale-cache'
    const options = {
      load: () => new Promise(() => {}), fallback: () => '', snapshotFile: process.argv[1], maxLoadMs: 60_000
    }
    const before = new StaleCache('things', options)
    for (let index = 0; index < 100; index += 1) before.set('key' + index, { value: 'x'.repeat(10_000) })
    before.get('hangs').catch(() => {})
    await null
    await before.close()
    const after = new StaleCache('things', options)
    await after.ready
    console.log(after.snapshot().file.entriesRead)
  `
  const run = spawnSync(
    process.execPath,
    ['--conditions=@holdfast/source', '--input-type=module', '-e', program, file],
    { cwd: import.meta.dirname, encoding: 'utf8' },
  )
  t.match(run, { status: 0, stdout: '100\n' })
})
