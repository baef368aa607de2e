import t from 'tap'
import { coverageComments } from '../../tidy/coverage-comments.ts'
import { findings, packageFolder } from './tree.ts'

t.test('the words in a text are no comment', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', { src: { 'a.ts': "export const a = '/* c8 ignore next */'\n" } }),
    },
  })
  t.same(findings(coverageComments, root), [])
})

t.test('comments that hide code from the coverage are found', async (t) => {
  const comment = (words: string) => `export const a = 1 /* ${words} */\n`
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: {
          'a.ts': comment('c8 ignore next'),
          'b.ts': comment('v8 ignore start'),
          'c.ts': comment('node:coverage disable'),
        },
        test: { 'd.ts': comment('istanbul ignore else') },
      }),
    },
  })
  t.equal(findings(coverageComments, root).length, 4)
})
