import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `the worker takes no more jobs
503 close
200 close answered
the queue is closed
0 0
`,
  'phases.ts': `serving config done, connect done, warm done, listen done, ready done
cordoned false
serving true
ended
`,
})
