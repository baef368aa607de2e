import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': '401\nann dark\n1 session, then 0\n401\n',
  'outage.ts':
    'ann user undefined / 503\ncarl user undefined / 1 logout to tell\nann user,admin dark / admin\ncarl user,admin undefined / 401\n',
})
