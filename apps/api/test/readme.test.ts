import { readFileSync } from 'node:fs'
import t from 'tap'
import { renderConfigTable } from '../src/settings/markdown-table.ts'
import { FUNCTIONS, NAMES } from '../src/strategy/language.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

/** The cells of a table in Markdown, however wide its columns are drawn. */
function cellsOf(table: string): string[][] {
  const rows = table.trim().split('\n')
  return rows
    .filter((row) => !/^[|\s-]+$/.test(row))
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

t.test('the README holds the configuration table as the code has it', async (t) => {
  const table = /<!-- configuration -->\n([\s\S]*?)\n<!-- \/configuration -->/.exec(readme)?.[1] ?? ''
  t.strictSame(cellsOf(table), cellsOf(renderConfigTable()))
  t.ok(cellsOf(table).length > 10)
})

t.test('the README holds the words of the strategy language, with what they take', async (t) => {
  const table = /<!-- strategies -->\n([\s\S]*?)\n<!-- \/strategies -->/.exec(readme)?.[1] ?? ''
  const given = { nothing: '()', window: '(n)', number: '(x)', numbers: '(x, y)' }
  t.strictSame(cellsOf(table), [
    ['word', 'what it is'],
    ...Object.entries(NAMES).map(([name, help]) => [`\`${name}\``, help]),
    ...Object.entries(FUNCTIONS).map(([name, { takes, help }]) => [`\`${name}${given[takes]}\``, help]),
  ])
})
