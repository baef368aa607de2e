import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts': '50 answers, 1 query\n',
  'fleet.ts': '100 answers in 2 processes, 1 query: { bid: 1.2, fenced: true }\n',
  'leaving.ts': 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT\nHOLDFAST_ERR_SINGLEFLIGHT_ABORTED\nthe report\n',
  'routes.ts': '20 answers, 1 run of the handler\n',
})
