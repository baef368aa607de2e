import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../../..')

t.test('every threat that is written down names tests that there are', async (t) => {
  const rows = readFileSync(join(ROOT, 'docs/threats.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| -'))
    .slice(1)
  t.ok(rows.length >= 24, `${rows.length} threats`)
  for (const row of rows) {
    const [, threat = '', , shownBy = ''] = row.split('|').map((cell) => cell.trim())
    const files = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file)
    t.ok(files.length > 0, threat)
    for (const file of files) t.ok(existsSync(join(ROOT, file)), `${threat}: ${file}`)
  }
})
