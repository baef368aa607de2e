import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': '200 ok\n200 degraded unhealthy\n',
  'features.ts':
    'theme degraded: served from the last snapshot\ndegraded\ntheme recovered: served from the last snapshot\nok\n',
  'operators.ts':
    '401 HOLDFAST_ERR_HEALTH_UNAUTHENTICATED\n200 {"abuse-guard":{"blocked_addresses":2}}\n{"active":12}\n',
  'ports.ts': 'management 200\nliveness 200\n',
})
