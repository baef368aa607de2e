import t from 'tap'
import { fileNames } from '../../tidy/file-names.ts'
import { findings, packageFolder } from './tree.ts'

t.test('a file named for what it holds passes', async (t) => {
  const root = t.testdir({
    packages: { gate: packageFolder('gate', { src: { 'token-bucket.ts': '', 'shared-error.ts': '' } }) },
  })
  t.same(findings(fileNames, root), [])
})

t.test('names that say nothing are found, in tests and scripts too', async (t) => {
  const root = t.testdir({
    packages: {
      gate: packageFolder('gate', {
        src: { 'utils.ts': '', 'type.ts': '', 'TokenBucket.ts': '' },
        test: { 'helpers.ts': '', 'common.test.ts': '' },
      }),
    },
    scripts: { 'misc.ts': '' },
  })
  t.match(
    findings(fileNames, root).map((text) => text.split(': ')[0]),
    [/TokenBucket/, /type/, /utils/, /common/, /helpers/, /misc/],
  )
})
