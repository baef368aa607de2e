import { readFileSync } from 'node:fs'
import t from 'tap'
import { renderConfigTable } from '../src/config.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

t.test('the README holds the configuration table as the code has it', async (t) => {
  const table = /<!-- configuration -->\n([\s\S]*?)\n<!-- \/configuration -->/.exec(readme)?.[1]
  t.equal(table?.trim(), renderConfigTable())
})
