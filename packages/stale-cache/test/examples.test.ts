import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

const printed: Record<string, string> = {
  'conditional-write.ts': '204\n412\nsecond draft\n',
  'http-representations.ts': [
    '200 null Accept-Encoding public, max-age=60, stale-while-revalidate=60 fresh\n',
    '304 null Accept-Encoding public, max-age=60, stale-while-revalidate=60 fresh\n',
    '200 null Accept-Encoding public, max-age=10 default\n',
  ].join(''),
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
