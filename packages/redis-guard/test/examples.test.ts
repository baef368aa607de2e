import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts':
    'visits [ 1, 2, 3 ] in 1 batch\nfirst HOLDFAST_ERR_REDIS_GUARD_BUDGET\nsecond HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE\nusable again true\n',
  'lease.ts': 'swept\nsomebody else sweeps\n',
})
