import t from 'tap'
import { runCommand } from '../packing/run-command.ts'
import { contentProblems, filesOf, manifestOf } from '../packing/tarball.ts'

const right = [
  'package.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/gate.js',
]

t.test('a tarball holds the documents, JavaScript and declarations, and nothing else', async (t) => {
  t.same(contentProblems(right, '{}'), [])
  t.same(
    contentProblems(
      [...right.slice(1), 'src/index.ts', 'dist/.tsbuildinfo', 'test/a.test.ts'],
      '"workspace:^"',
    ),
    [
      'package.json is missing',
      'src/index.ts must not be shipped',
      'dist/.tsbuildinfo must not be shipped',
      'test/a.test.ts must not be shipped',
      'package.json still says "workspace:"',
    ],
  )
})

t.test('reads what is in a tarball', async (t) => {
  const folder = t.testdir({ package: { 'package.json': '{"name":"gate"}', dist: { 'index.js': '' } } })
  runCommand(folder, 'tar', '-czf', 'a.tgz', 'package')
  t.same(filesOf(`${folder}/a.tgz`).toSorted(), ['dist/index.js', 'package.json'])
  t.equal(manifestOf(`${folder}/a.tgz`), '{"name":"gate"}')
})

t.test('a command that fails says what it said', async (t) => {
  t.throws(
    () => runCommand('.', process.execPath, '-e', "console.error('why'); process.exit(2)"),
    /failed\nwhy/,
  )
  t.throws(() => runCommand('.', 'no-such-program'), /ENOENT/)
})
