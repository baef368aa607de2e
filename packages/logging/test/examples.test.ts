import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `shop-000042
{"level":30,"correlation_id":"shop-000042","method":"POST","path":"/orders","order":7,"password":"[masked]","given":{"level":60},"msg":"an order came"}
{"level":40,"correlation_id":"shop-000042","method":"POST","path":"/orders","event_type":"SECURITY_EVENT","event":"card.refused","attempts":3,"msg":"card.refused"}
{"level":30,"correlation_id":"shop-000042","method":"POST","route":"/orders","path":"/orders","status":200,"bytes":2,"msg":"request completed"}
`,
  'alone.ts': `request completed shop-000042 200
shop-000042 false
`,
  'jobs.ts': `request completed shop-000042 undefined - number -
a bet is settled shop-000042 acme settle undefined -
pay-out shop-000042 acme settle number -
{ 'x-correlation-id': 'shop-000042' }
`,
})
