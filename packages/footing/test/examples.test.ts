import { examplesSuite } from '@holdfast/test-kit'
import t, { type Test } from 'tap'

await examplesSuite<Test>(t, new URL('../examples/', import.meta.url), {
  'basic.ts':
    '{ max: 20, waitMs: 0 }\nTypeError: "max" must be a whole number of at least 1, received -1\ntrue 2\n',
})
