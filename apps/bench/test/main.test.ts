import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { benchDirectory } from '../src/harness/child.ts'
import type { RowResult } from '../src/harness/report.ts'
import { herd } from '../src/rows/herd.ts'

const bench = (args: readonly string[], env?: NodeJS.ProcessEnv) =>
  spawnSync(process.execPath, ['--conditions=@holdfast/source', 'src/main.ts', ...args], {
    cwd: benchDirectory,
    encoding: 'utf8',
    ...(env === undefined ? {} : { env }),
  })

t.test('an unknown row ends with 2, before anything is measured', async (t) => {
  const { status, stderr, stdout } = bench(['herd', 'theem'])
  t.equal(status, 2)
  t.match(stderr, "There is no row 'theem'")
  t.match(stderr, 'pnpm bench [row ...]')
  t.equal(stdout, '')
})

t.test('--list prints the rows and what they promise', async (t) => {
  const { status, stdout } = bench(['--list'])
  t.equal(status, 0)
  t.match(stdout, herd.title)
  for (const goal of herd.goals) t.ok(stdout.includes(goal.claim))
})

t.test('--help prints how to use it', async (t) => {
  const { status, stdout } = bench(['--help'])
  t.equal(status, 0)
  t.match(stdout, '--quick')
})

t.test('a quick run measures a row from end to end and writes what it saw', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { status, stdout, stderr } = bench(['herd', '--quick', '--out', directory])
  t.equal(status, 0, stderr)
  t.match(stdout, 'A quick run')
  t.match(stdout, /(met|not met) +[\d.]+ \([\d.]+\.\.[\d.]+\), at most 1\.4/)

  const result = JSON.parse(readFileSync(join(directory, 'herd.json'), 'utf8')) as RowResult
  t.match(result, { row: 'herd', quick: true, rounds: 1, connections: null })
  t.match(result.origin, { node: process.version, cores: Number, cpu: String, date: /^\d{4}-\d\d-\d\dT/ })
  t.type(result.origin.dirty, 'boolean')
  t.same(
    result.variants.map((variant) => variant.name),
    herd.variants.map((variant) => variant.name),
  )
  t.equal(result.slices.length, herd.variants.length * result.turns)
  for (const { figures } of result.slices) {
    t.ok((figures['nanoseconds'] ?? 0) > 0)
    t.ok((figures['executions'] ?? 0) >= 1)
  }
  t.equal(result.goals.length, herd.goals.length)
  const executed = (name: string) =>
    result.variants.find((variant) => variant.name === name)?.figures['executions']?.median
  t.equal(executed('ours'), 1, 'a herd of 50 executes once')
  t.equal(executed('ours, failing'), 1, 'a failing herd of 50 executes once')
  t.equal(executed('bentocache, failing'), 50, 'the peer executes for every caller')
})

t.test('without taskset and git it runs unpinned, says so, and knows no commit', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { status, stdout, stderr } = bench(['cache-hit', '--quick', '--out', directory], { PATH: directory })
  t.equal(status, 0, stderr)
  t.match(stdout, 'Unpinned: ')
  const result = JSON.parse(readFileSync(join(directory, 'cache-hit.json'), 'utf8')) as RowResult
  t.equal(result.pinning.pinned, false)
  t.equal(result.origin.commit, null)
  t.equal(result.origin.dirty, true, 'what cannot be known to be clean is not called clean')
})

t.test('results that cannot be written end with 1 before anything is measured', async (t) => {
  const { status, stderr } = bench([
    'herd',
    '--quick',
    '--out',
    join(benchDirectory, 'package.json', 'results'),
  ])
  t.equal(status, 1)
  t.match(stderr, 'ENOTDIR')
  t.notMatch(stderr, 'round 1')
})
