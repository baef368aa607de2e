import t from 'tap'
import { optionTables } from '../../tidy/option-tables.ts'
import { findings, packageFolder } from './tree.ts'

const options = `
interface Base { /** Most keys. */ readonly maxKeys?: number }
export interface ServerOptions { port: number; host?: string }
export interface GateOptions extends Base {
  ttlMs?: number
  retry?: { baseMs?: number; attempts?: number }
  server?: ServerOptions | undefined
  load(key: string): Promise<void>
}
export interface ResolvedOptions { ttlMs: number }
`
const table = (name: string, rows: readonly string[]) =>
  `<!-- options: ${name} -->\n| option | default | meaning |\n| --- | --- | --- |\n${rows
    .map((row) => `| \`${row}\` | none | \`'a' \\| 'b'\` |`)
    .join('\n')}\n<!-- /options -->\n`
const tree = (readme: string) => ({
  packages: { gate: packageFolder('gate', { 'README.md': readme, src: { 'options.ts': options } }) },
})
const all = ['maxKeys', 'ttlMs', 'retry.baseMs', 'retry.attempts', 'server', 'load']

t.test(
  'a table with every option in order passes; nested ones stand in it or in a table of their own',
  async (t) => {
    const own = table('GateOptions', all) + table('ServerOptions', ['port', 'host'])
    t.same(findings(optionTables, t.testdir(tree(own))), [])
    const nested = [
      'maxKeys',
      'ttlMs',
      'retry',
      'retry.baseMs',
      'retry.attempts',
      'server.port',
      'server.host',
      'load',
    ]
    t.same(findings(optionTables, t.testdir(tree(table('GateOptions', nested)))), [])
  },
)

t.test('a missing, an unknown, a misplaced option and a missing table are found', async (t) => {
  const found = (rows: readonly string[]) =>
    findings(
      optionTables,
      t.testdir(tree(table('GateOptions', rows) + table('ServerOptions', ['port', 'host']))),
    )
  t.match(found(all.filter((name) => name !== 'retry.attempts')), [/leaves out "retry\.attempts"/])
  t.match(found([...all, 'size']), [/has "size", which the interface has not/])
  t.match(found(['ttlMs', 'maxKeys', ...all.slice(2)]), [/another order .* "maxKeys" comes before "ttlMs"/])
  t.match(found([...all, 'load']), [/names an option twice/])
  t.match(findings(optionTables, t.testdir(tree(table('GateOptions', all)))), [
    /has no options table of ServerOptions/,
  ])
  t.match(
    findings(optionTables, t.testdir(tree(table('NoOptions', [])))).at(0),
    /there is no interface NoOptions/,
  )
})
