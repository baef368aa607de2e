import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

const printed: Record<string, string> = {
  'basic.ts': `1 closed connect ECONNREFUSED
2 closed connect ECONNREFUSED
3 open connect ECONNREFUSED
4 open circuit breaker "quotes" does not let this call through (open); try again in 60000 ms
`,
  'retry.ts': `41.20 after 3 attempts, 2 of them from the budget
[ { kind: 'ECONNREFUSED', total: 2 } ] steady
"a vendor that hangs": no result within 20 ms (timeoutMs)
`,
  'route.ts': `/quote 503 1 HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT
/last-quote 200 null 41
/quote 503 30 HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN
/last-quote 200 null 41
{
  refused: 2,
  timedOut: 2,
  fellBack: 2,
  fallbackFailed: 0,
  abandoned: 0
}
`,
}
const examples = new URL('../examples/', import.meta.url)

t.test('every example is listed here', async (t) => {
  t.strictSame((await readdir(examples)).sort(), Object.keys(printed))
})

for (const [file, text] of Object.entries(printed)) {
  t.test(`${file} prints what it promises`, async (t) => {
    const command = ['--conditions=@holdfast/source', new URL(file, examples).pathname]
    const { stdout } = await promisify(execFile)(process.execPath, command)
    t.equal(stdout.replace(/in 5\d{4} ms/, 'in 60000 ms'), text)
  })
}
