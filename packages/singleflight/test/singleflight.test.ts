import t from 'tap'
import { Singleflight } from '../src/index.ts'

t.test('fifty concurrent callers of one key cause one execution and get its value', async (t) => {
  const flights = new Singleflight()
  let executions = 0
  const work = async () => {
    executions += 1
    await new Promise((resolve) => setImmediate(resolve))
    return 'value'
  }
  const answers = await Promise.all(Array.from({ length: 50 }, () => flights.run(['branding', 'acme'], work)))
  t.equal(executions, 1)
  t.strictSame(new Set(answers), new Set(['value']))
  t.match(flights.snapshot(), { executions: 1, joined: 49, inFlight: 0, waiters: 0 })
})
