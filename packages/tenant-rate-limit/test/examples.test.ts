import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts':
    '/acme 200 {"remaining":1}\n/acme 200 {"remaining":0}\n/acme 429 {"remaining":0}\n/globex 200 {"remaining":1}\n',
})
