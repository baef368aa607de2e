import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `503 We move to a larger database until noon.
{"readOnly":true}
{"maintenance_enabled":true,"banner_message":"We move to a larger database until noon."}
{"started":true}
`,
  'drain.ts': '503\nfalse 2\ntrue 0\n',
  'operators.ts': `maintenance { group: 'bots' } read-only
Maintenance from 2 to 4 PM UTC
{"maintenance_enabled":true,"banner_message":"Maintenance from 2 to 4 PM UTC"}
false
`,
})
