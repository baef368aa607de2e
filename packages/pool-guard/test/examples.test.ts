import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': `write 200 {"id":1}
read 200 [{"id":0,"item":"from a cache"}] 110 - "Response is Stale"
in use 17 saturated true
later 200 [{"id":1,"item":"tea"}]
`,
  'worker.ts': "[ { sport: 'tennis', price: '1.85' } ]\nworker stopped\n",
})
