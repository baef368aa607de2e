import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `the worker takes no more jobs
503 close
200 close answered
the queue is closed
0 0
`,
  'checks.ts': `PASS  disk  12 GB are free
FAIL  node  this is Node 20
            -> install Node 24
WARN  peer  no answer

3 checks: 1 passed, 1 with a warning, 1 failed, in 0 ms
2
`,
  'phases.ts': `serving config done, connect done, warm done, listen done, ready done
cordoned false
serving true
ended
`,
})
