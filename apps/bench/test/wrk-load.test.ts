import t from 'tap'
import { driveWithWrk, parseWrk } from '../src/harness/wrk-load.ts'

const printed = `Running 2s test @ http://127.0.0.1:18701/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   650.12us  231.40us  11.20ms   91.03%
    Req/Sec    76.50k     3.10k   80.00k    75.00%
  Latency Distribution
     50%  612.00us
     75%  700.00us
     90%    0.85ms
     99%    1.02ms
  152978 requests in 2.01s, 320.01MB read
Requests/sec:  76109.45
Transfer/sec:    159.21MB
`

t.test('reads the figures that wrk prints', async (t) => {
  t.same(parseWrk(printed), {
    answers: 152_978,
    failures: 0,
    firstFailure: undefined,
    elapsedMs: 2_010,
    p50Ms: 0.612,
    p99Ms: 1.02,
    maxMs: 11.2,
  })
})

t.test('wrong statuses and broken connections are failures', async (t) => {
  for (const line of [
    'Non-2xx or 3xx responses: 7',
    'Socket errors: connect 0, read 3, write 0, timeout 0',
  ]) {
    const { failures, firstFailure } = parseWrk(`${printed}  ${line}\n`)
    t.same([failures, firstFailure], [1, line])
  }
})

t.test('a text without the figures is refused', async (t) => {
  t.throws(() => parseWrk('unable to connect'), { message: /no count/ })
  t.throws(() => parseWrk('  5 requests in 1.00s, 1KB read'), { message: /no latency/ })
})

t.test('what is posted is no row for wrk', async (t) => {
  const posting = { body: '', people: [{}], keys: '', repeats: false }
  const target = { port: 1, path: '/', headers: {}, expectStatus: 201, durationMs: 1, posting }
  await t.rejects(driveWithWrk(target, 1), { message: /nothing is posted/ })
})
