import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts':
    /^1 closed connect ECONNREFUSED\n2 closed connect ECONNREFUSED\n3 open connect ECONNREFUSED\n4 open circuit breaker "quotes" does not let this call through \(open\); try again in (60000|5\d{4}) ms\n$/,
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
})
