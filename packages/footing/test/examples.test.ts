import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

t.test('basic.ts fills in the defaults, refuses a wrong value and says when to come back', async (t) => {
  const example = join(import.meta.dirname, '../examples/basic.ts')
  const output = execFileSync(process.execPath, ['--conditions=@holdfast/source', example], {
    encoding: 'utf8',
  })
  t.equal(
    output,
    '{ max: 20, waitMs: 0 }\nTypeError: "max" must be a whole number of at least 1, received -1\ntrue 2\n',
  )
})
