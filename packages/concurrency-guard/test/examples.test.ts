import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `200 undefined {"success":true}
429 30 {"success":false,"message":"Another operation is in progress. Please try again later.","retry_after":30}
200 undefined {"success":true}
1
`,
  'fence.ts': `HOLDFAST_ERR_CONCURRENCY_GUARD_TIMEOUT
the next one wrote: true
the late one wrote: false
recovered
`,
})
