import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

const printed: Record<string, string> = {
  'basic.ts': '200 ok\n200 degraded unhealthy\n',
  'features.ts':
    'theme degraded: served from the last snapshot\ndegraded\ntheme recovered: served from the last snapshot\nok\n',
  'operators.ts':
    '401 HOLDFAST_ERR_HEALTH_UNAUTHENTICATED\n200 {"abuse-guard":{"blocked_addresses":2}}\n{"active":12}\n',
  'ports.ts': 'management 200\nliveness 200\n',
}
const examples = new URL('../examples/', import.meta.url)

t.test('every example is listed here', async (t) => {
  t.strictSame((await readdir(examples)).sort(), Object.keys(printed))
})

for (const [file, text] of Object.entries(printed)) {
  t.test(`${file} prints what it promises`, async (t) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...process.execArgv,
      new URL(file, examples).pathname,
    ])
    t.equal(stdout, text)
  })
}
