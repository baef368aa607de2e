import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

t.test('basic.ts lets two pass and refuses the third', async (t) => {
  const example = join(import.meta.dirname, '../examples/basic.ts')
  const output = execFileSync(process.execPath, ['--conditions=@holdfast/source', example], {
    encoding: 'utf8',
  })
  t.equal(output, '1 200\n2 200\n3 503\n')
})
