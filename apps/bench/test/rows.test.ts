import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { benchDirectory } from '../src/harness/child.ts'
import { goalsTable } from '../src/harness/report.ts'
import { rows } from '../src/rows/all.ts'

t.test('row names are unique, and so are the variants of a row', async (t) => {
  t.equal(new Set(rows.map((row) => row.name)).size, rows.length)
  for (const row of rows) {
    t.equal(new Set(row.variants.map((variant) => variant.name)).size, row.variants.length, row.name)
  }
})

t.test('every goal and every ratio names variants that the row measures', async (t) => {
  for (const row of rows) {
    const names = new Set<string | undefined>(row.variants.map((variant) => variant.name))
    t.ok(row.goals.length > 0, `${row.name} promises something`)
    for (const goal of row.goals) {
      t.ok(names.has(goal.of), `${row.name}: ${goal.of}`)
      for (const name of [goal.against, goal.control]) {
        if (name !== undefined) t.ok(names.has(name), `${row.name}: ${name}`)
      }
      t.ok(goal.atMost !== undefined || goal.atLeast !== undefined, `${row.name}: ${goal.claim}`)
    }
    for (const { against } of row.variants) {
      if (against !== undefined) t.ok(names.has(against), `${row.name}: ${against}`)
    }
  }
})

t.test('every script of a row exists, and every server is used', async (t) => {
  for (const row of rows) {
    if (row.kind === 'trial') {
      for (const { script } of row.variants) t.ok(existsSync(join(benchDirectory, script)), script)
      continue
    }
    if (row.kind === 'loop') {
      for (const { module } of row.variants) t.ok(existsSync(join(benchDirectory, module)), module)
      continue
    }
    const used = new Set(row.variants.map((variant) => variant.server))
    t.same([...used].sort(), Object.keys(row.servers).sort(), row.name)
    for (const variant of row.kind === 'server' ? row.variants : []) {
      const named = variant.state !== undefined
      t.equal(named, row.prepare !== undefined, `${variant.name} names a state when there is a world`)
    }
    for (const { script } of Object.values(row.servers))
      t.ok(existsSync(join(benchDirectory, script)), script)
  }
})

t.test('the README holds the goals of the row files, word for word', async (t) => {
  const readme = readFileSync(join(benchDirectory, 'README.md'), 'utf8')
  const table = /<!-- goals -->\n+([\s\S]*?)\n+<!-- \/goals -->/.exec(readme)?.[1]
  t.equal(table, goalsTable(rows), 'replace the table by the one that `pnpm bench --list` prints')
})

t.test('the README names every option of the command', async (t) => {
  const readme = readFileSync(join(benchDirectory, 'README.md'), 'utf8')
  const { usageText } = await import('../src/command-line.ts')
  t.ok(readme.includes(usageText), 'replace the usage by the one that `pnpm bench --help` prints')
})
