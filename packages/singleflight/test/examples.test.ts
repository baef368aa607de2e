import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

const printed: Record<string, string> = {
  'basic.ts': '50 answers, 1 query\n',
  'leaving.ts': 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT\nHOLDFAST_ERR_SINGLEFLIGHT_ABORTED\nthe report\n',
  'routes.ts': '20 answers, 1 run of the handler\n',
}
const examples = new URL('../examples/', import.meta.url)

t.test('every example is listed here', async (t) => {
  t.strictSame((await readdir(examples)).sort(), Object.keys(printed))
})

for (const [file, text] of Object.entries(printed)) {
  t.test(`${file} prints what it promises`, async (t) => {
    const command = ['--conditions=@holdfast/source', new URL(file, examples).pathname]
    const { stdout } = await promisify(execFile)(process.execPath, command)
    t.equal(stdout, text)
  })
}
